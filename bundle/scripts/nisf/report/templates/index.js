"use strict";
(() => {
  const body = document.querySelector("#scans tbody"), rows = [...body.rows];
  const heads = [...document.querySelectorAll("#scans th[data-key]")], choice = document.getElementById("sort");
  const keys = new Map(rows.map((row) => [row, JSON.parse(row.dataset.keys)]));
  let sorted = ["order", 1];

  function sort(key, direction) {
    sorted = [key, direction];
    const value = (row) => keys.get(row)[key] ?? null;
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null); // what is not known stands last either way
      return direction * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
    });
    body.append(...rows);
    heads.forEach((head) => {
      if (head.dataset.key === key) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    choice.value = key;
  }
  heads.forEach((head) => {
    head.querySelector("button").onclick = () => sort(head.dataset.key, sorted[0] === head.dataset.key ? -sorted[1] : 1);
  });
  choice.onchange = () => sort(choice.value, 1);
  document.getElementById("filter").oninput = (event) => {
    const wanted = event.target.value.toLowerCase();
    rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
  };
})();
