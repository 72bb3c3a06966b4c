"""For the zoo's ci/unit_tests: each config runs. Started from the zoo's root, the bundle under models/."""

import os
import shutil
import sys
import tempfile
import unittest

from monai.bundle import ConfigWorkflow

BUNDLE = os.path.join("models", "nisf_cardiac_cine")
#: A network that trains in a time point, in the paper's form: without pose and U-Net probabilities.
TINY = {
    **{"hidden_size": 16, "latent_size": 8, "num_layers": 2, "compile": False, "device": "cpu"},
    **{"points_per_subject": 64, "subjects_per_step": 2, "steps_per_epoch": 4, "max_epochs": 1, "val_interval": 1},
    **{"fit_steps": 3, "fit_points": 128, "initial_draws": 20, "final_points": 256},
}
#: The shipped weights, with a short fit.
SHIPPED = {"final_points": 512, "unet_frames": 1, "device": "cpu"}


def workflow(kind, names, **override):
    configs = os.path.join(BUNDLE, "configs")
    made = ConfigWorkflow(
        workflow_type=kind,
        config_file=[os.path.join(configs, f"{name}.json") for name in names],
        logging_file=os.path.join(configs, "logging.conf"),
        meta_file=os.path.join(configs, "metadata.json"),
        bundle_root=BUNDLE,
        **override,
    )
    made.initialize()
    return made


class TestNisfCardiacCine(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        sys.path.insert(0, os.path.abspath(BUNDLE))
        self.addCleanup(sys.path.remove, os.path.abspath(BUNDLE))
        import scripts  # noqa: F401  (makes the folder of nisf importable)

        import nisf.phantom.cohort

        self.assertTrue(nisf.phantom.cohort.__file__.startswith(os.path.abspath(BUNDLE)))
        nisf.phantom.cohort.write_cohort(self.folder, 2, 1, 1, matrix=(40, 44), voxel_mm=3.5, slices=4, frames=2)

    def check(self, made):
        missing = made.check_properties()
        self.assertFalse(missing, f"properties are missing: {missing}")
        made.run()
        made.finalize()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def test_train_config(self):
        override = {"dataset_dir": self.folder, "output_dir": self.path("train"), **TINY}
        self.check(workflow("train", ["train", "phantom", "plain"], **override))
        self.assertTrue(os.path.isfile(self.path("train", "model.pt")))

    def test_inference_config(self):
        scan = [self.path("test000_sa.nii.gz")]
        self.check(workflow("infer", ["inference"], dataset_dir=scan, output_dir=self.path("out"), **SHIPPED))
        self.assertTrue(os.path.isfile(self.path("out", "test000_sa", "test000_sa_seg.nii.gz")))

    def test_evaluate_config(self):
        override = {"dataset_dir": self.folder, "output_dir": self.path("scores"), **SHIPPED}
        made = workflow("eval", ["inference", "evaluate", "phantom"], **override)
        made.run()
        self.assertTrue(os.path.isfile(self.path("scores", "scores.json")))


if __name__ == "__main__":
    unittest.main()
