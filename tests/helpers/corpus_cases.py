"""The corpus of unusual DICOM folders."""

import pydicom
from helpers import corpus_encodings as code
from helpers import corpus_folders as make
from helpers.corpus import Case
from helpers.corpus_folders import UIDS

TRIMMED = "has other numbers of frames than 6: the 5 that all slices have are read"
TURNED = "another turn, pixel size or field in plane: read onto the grid of the others"
EMPTY = "1 place between them have none, and the segmentation there is computed from the others"
STATED = "is taken as --stack says"
TILTED = "although it is 4 slices of another plane"

CASES = [
    Case("a scanner's export: several series, meaningless names, three folders", make.edited()),
    Case("every file in a folder of its own", make.zip_names),
    Case("each slice a series", make.edited(spread=True)),
    Case("each time point a series", make.edited(make.time_points, make.sax)),
    Case("FrameOfReferenceUID of its own in every file", make.edited(make.own_uids(UIDS[2]))),
    Case("all UIDs of their own in every file", make.edited(make.own_uids(*UIDS))),
    Case("the same, each slice a series number", make.edited(make.own_uids(*UIDS), spread=True)),
    Case(
        "all UIDs of their own in every file, no series number",
        make.edited(make.own_uids(*UIDS, "SeriesNumber", text="{}")),
    ),
    Case(
        "the same UIDs in all files", make.edited(make.with_values(**dict.fromkeys([*UIDS, "SOPInstanceUID"], "1.2.3")))
    ),
    Case("no UIDs", make.edited(make.with_values(**dict.fromkeys([*UIDS, "SOPInstanceUID"])))),
    Case("malformed UIDs", make.edited(make.own_uids(*UIDS, "SOPInstanceUID", text="1.02.x.0{}"))),
    Case("series number 1 everywhere", make.edited(make.with_values(SeriesNumber=1))),
    Case(
        "no series numbers, no descriptions", make.edited(make.with_values(SeriesNumber=None, SeriesDescription=None))
    ),
    Case("a patient number of its own in every file", make.edited(make.own_uids("PatientID", text="P{}"))),
    Case("no patient number in some files", make.edited(make.with_values(PatientID=None), make.at([1]))),
    Case("a frame lost in a slice", make.edited(make.gone, make.at([1], [2])), TRIMMED, frames=(0, 1, 3, 4, 5)),
    Case("a file cut off", make.cut_off, TRIMMED, frames=(0, 1, 2, 3, 4)),
    Case(
        "a frame lost, --strict",
        make.edited(make.gone, make.at([1], [2])),
        refused="mend the files, or leave --strict out",
        options={"strict": True},
    ),
    Case(
        "half the frames of a slice lost",
        make.edited(make.gone, make.at([1], [1, 3, 5])),
        "the nearest in time stand",
        result="read, frames of that slice repeated",
        near=1.0,
    ),
    Case("a slice lost", make.edited(make.gone, make.at([1])), EMPTY, missing=(1,)),
    Case(
        "a slice lost, each slice a series",
        make.edited(make.gone, lambda d: d.SeriesNumber == 9, spread=True),
        EMPTY,
        missing=(2,),
    ),
    Case("a slice taken again, in a series of its own", make.spread_again),
    Case("a slice taken again, in the same series", make.taken_again(make.at([2]))),
    Case("the whole cine taken again, in the same series", make.taken_again(make.sax)),
    Case("two cines of one heart, one with fewer slices", make.another_cine),
    Case("every file twice", make.copied(False)),
    Case("every file twice, under new UIDs", make.copied(True)),
    Case("a slice turned by 90 degrees in plane", make.edited(make.quarter_turn, make.at([2])), TURNED),
    Case(
        "two slices turned by 90 degrees, each slice a series",
        make.edited(make.quarter_turn, lambda d: d.SeriesNumber in (8, 10), spread=True),
        TURNED,
    ),
    Case("a slice mirrored, position and directions too", make.edited(make.mirror, make.at([1])), TURNED),
    Case("a slice with a larger field", make.edited(make.larger_field, make.at([3])), TURNED),
    Case(
        "a slice with finer pixels",
        make.edited(make.finer, make.at([0])),
        TURNED,
        result="read, interpolated",
        near=0.35,
    ),
    Case("enhanced, one file", code.one_enhanced),
    Case("enhanced, a file for each slice", code.enhanced_slices),
    Case("RLE", code.compressed(pydicom.uid.RLELossless)),
    Case("JPEG-LS", code.compressed(pydicom.uid.JPEGLSLossless)),
    Case("JPEG lossless", code.compressed("", "JPEGLosslessProcess14_1")),
    Case("JPEG 2000 lossless", code.compressed("", "JPEG2000Lossless")),
    Case("Siemens mosaic", code.mosaic),
    Case("big-endian", code.byte_order(pydicom.uid.ExplicitVRBigEndian, False)),
    Case("implicit little-endian", code.byte_order(pydicom.uid.ImplicitVRLittleEndian, True)),
    Case("no preamble", code.byte_order(pydicom.uid.ImplicitVRLittleEndian, True, False)),
    Case("no trigger times", make.edited(make.with_values(TriggerTime=None))),
    Case("trigger times all 0", make.edited(make.with_values(TriggerTime=0))),
    Case(
        "no trigger times nor instance numbers, time points numbered",
        make.edited(
            lambda d: make.with_values(
                TemporalPositionIdentifier=make.place(d)[1] + 1, TriggerTime=None, InstanceNumber=None
            )(d),
            make.sax,
        ),
    ),
    Case("stored values scaled slice by slice", make.edited(code.philips, make.sax), near=0.01),
    Case("negative stored values", make.edited(code.signed, make.sax)),
    Case("phase pictures in the same series", make.phase_beside),
    Case("only stack 52 degrees off the usual short axis", make.tilted((7, "SAX", (0, 1, 2, 3))), TILTED, tilted=True),
    Case(
        "two such stacks, one called short axis",
        make.tilted((7, "pig_sax", (0, 1, 2, 3)), (8, "cine", (0, 2, 1, 3))),
        TILTED,
        tilted=True,
    ),
    Case(
        "two such stacks, --stack 7",
        make.tilted((7, "a", (0, 1, 2, 3)), (8, "b", (0, 2, 1, 3))),
        STATED,
        tilted=True,
        options={"stack": "7"},
    ),
    Case(
        "two such stacks",
        make.tilted((7, "a", (0, 1, 2, 3)), (8, "b", (0, 2, 1, 3))),
        refused="name a series with --stack",
    ),
    Case("reports, notes and a broken file beside them", make.with_clutter),
    Case("two patients in one folder", make.two_patients, refused="images of 2 patients mixed"),
    Case(
        "no positions",
        make.edited(make.with_values(ImagePositionPatient=None, ImageOrientationPatient=None)),
        refused="they give no position in the patient",
    ),
    Case("no cine", make.edited(make.gone, make.sax), refused="holds no short-axis cine"),
]
