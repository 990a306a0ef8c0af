"""Miniatures of the micro-expression releases in their true layouts, with their quirks. Every row is invented.

Each writer takes the raw root and `frame(i)`, the picture of a clip's i-th frame, so that real faces can be passed.
"""

from raw_releases.books import write_book
from raw_releases.plain import image, write_frames

CASME2 = [  # subject, file, onset, apex, offset, action units, emotion
    (1, "EP01_2", 8, 10, 14, "4+7+L10", "happiness"),
    (1, "EP06_02_01", 5, 9, 12, 12, "surprise"),
    (2, "EP09f", 98, 101, 104, "R2+15", "disgust"),
    (2, "EP02_05", 4, "/", 10, 4, "others"),
    (3, "EP03_01", 7, 7, 12, "14", "repression"),
    (3, "EP04_01f", 5, 9, 9, 25, "fear"),
    (24, "EP10_03", 1, 3, 6, "1+2", "surprise"),
    (24, "EP01_01", 1, 3, 6, "15", "sadness"),
]
CASME2_HEADER = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
                 "Estimated Emotion"]


def casme2_book(root, name="CASME2-coding-20190701.xlsx", rows=CASME2):
    """The table of 2019 (integer subjects), or, by its name, of 2014 (subjects as text, more '/') or the updated one
    (a row more)."""
    old = "2019" not in name
    if old:
        rows = [(f"{subject:02d}", file, onset, "/" if file == "EP03_01" else apex, offset, aus,
                 "sadness" if file == "EP10_03" else emotion)
                for subject, file, onset, apex, offset, aus, emotion in rows]
    if "updated" in name:
        rows.append(("24", "EP02_07", 3, 5, 9, "4", "disgust"))
    if "Ver_2" in name:  # another layout: no blank columns
        sheet = [[cell for cell in CASME2_HEADER if cell], *([*row[:2], *row[2:]] for row in rows)]
    else:
        sheet = [CASME2_HEADER, *([row[0], row[1], None, *row[2:5], None, *row[5:]] for row in rows)]
    write_book(root / name, {"Sheet1": sheet, "Sheet2": [], "Sheet3": []})


def casme2_frames(root, frame=image, raw="CASME2-RAW/CASME2-RAW"):
    """The raw archive, unpacked doubled and longer than onset..offset, and the cropped one."""
    for subject, file, onset, _, offset, *_ in [*CASME2, (24, "EP02_07", 3, 5, 9)]:
        place = f"sub{subject:02d}/{file}"
        write_frames(root / raw / place, range(onset, offset + 3), "img{}.jpg", frame)
        write_frames(root / "Cropped" / place, range(onset, offset + 1), "reg_img{}.jpg", frame)
    for stray in ("__MACOSX", ".Trashes"):
        (root / stray / "sub01" / "EP01_2").mkdir(parents=True, exist_ok=True)
    (root / raw / "sub01" / "EP01_2.lnk").write_bytes(b"junk")
    (root / raw / "sub01" / "EP01_2" / "Thumbs.db").write_bytes(b"junk")


def write_casme2(root, frame=image):
    casme2_frames(root, frame)
    casme2_book(root)
    (root / "~$CASME2-coding-20190701.xlsx").write_bytes(b"lock file of an open workbook")


SAMM = [  # subject, file, onset, apex, offset, action units, emotion
    ("006", "006_1_2", 9998, 10001, 10004, "(R6 or R12)+R15", "Happiness"),
    ("006", "006_2_11", 995, 998, 1002, "A12+A7", "Anger"),
    ("007", "007_3_1", 40, 52, 48, "4", "Fear"),  # apex after offset
    ("007", "007_3_2", 4896, 1930, 4905, "L12 or L14", "Contempt"),  # apex before onset
    ("030", "030_1_1", 100, 104, 110, "ref(5)+20C+25+26", "Other"),
    ("030", "030_1_2", 200, 204, 210, "1+2", "Others"),
    ("031", "031_1_1", 100, 104, 110, "1+2+5", "Surprise"),
]
SAMM_HEADER = ["Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration",
               "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]


def samm_book(root, name="SAMM_Micro_FACS_Codes_v2.xlsx", notes=13):
    """The header below 13 rows of notes, or, without notes, in row 1 with the subjects as numbers."""
    rows = [[subject if notes else int(subject), file, 3, onset, apex, offset, offset - onset + 1, "Micro - 1/2", aus,
             emotion, 2, None]
            for subject, file, onset, apex, offset, aus, emotion in SAMM]
    above = [[f"line {i} of the notes", None, "/ = or"] for i in range(notes)]
    write_book(root / name, {"MICRO_ONLY": [*above, SAMM_HEADER, *rows]})


def write_samm(root, frame=image):
    """Numbers have at least four digits, most five, in one tree; the pictures are gray."""
    samm_book(root)
    for subject, file, onset, _, offset, *_ in SAMM:
        name = subject + ("_{:04d}.jpg" if onset in (995, 40) else "_{:05d}.jpg")
        write_frames(root / "SAMM" / subject / file, range(onset, offset + 1), name, frame)
        write_frames(root / "SAMM_CROP" / subject / file, range(onset, offset + 1), name, frame)


SMIC = [("s1", "ne", 1, 559740), ("s1", "po", 1, 9998), ("s3", "sur", 2, 12), ("s20", "ne", 11, 17763111)]
EMOTION = {"ne": "negative", "po": "positive", "sur": "surprise"}


def write_smic(root, frame=image):
    """The short sets: folders are the annotation; numbers of at least six digits, VIS without a prefix."""
    for kind, prefix in (("raw", ""), ("cropped", "reg_")):
        for subject, code, count, start in SMIC:
            clip = f"{subject}/micro/{EMOTION[code]}/{subject}_{code}_{count:02d}"
            for camera, name in (("HS", "image{:06d}.bmp"), ("VIS", "{:05d}.bmp"), ("NIR", "image{:06d}.bmp")):
                numbers = range(start, start + (8 if camera == "HS" else 5))
                write_frames(root / f"SMIC_all_{kind}" / camera / clip, numbers, prefix + name, frame)
        for camera in ("HS", "VIS", "NIR"):
            folder = root / f"SMIC_all_{kind}" / camera / "s1/non_micro/s1_non_01"
            write_frames(folder, range(5), "image{:06d}.bmp", frame)


SMIC_LONG = [  # subject, file, pairs, first, last
    (1, "s01_ne_01", [(103, 108)], 100, 120),
    (3, "s03_sur_02", [(205, 210), (212, 216)], 200, 220),
    (20, "s20_po_11", [(305, 309), (311, 314), (316, 319)], 300, 320),
    (20, "s20_ne_12", [(405, 409)], "lost", "lost"),
]
SMIC_LONG_HEADER = ["Subject", "Filename", None, "OnsetF", "OffsetF", None, None, None, None, None, "FirstF", "LastF",
                    None, None, None, None, "Emotion"]


def write_smic_long(root, frame=image, camera="HS", name="SMIC-HS-E_annotation_2019.xlsx"):
    """The long set: up to three expressions a clip, text in FirstF, text rows below; one folder is not padded."""
    rows = []
    for subject, file, pairs, first, last in SMIC_LONG:
        cells = [cell for pair in pairs for cell in pair] + [None] * (6 - 2 * len(pairs))
        emotion = EMOTION[file.split("_")[1]]
        rows.append([subject, file, None, *cells, None, first, last, None, None, None, None, emotion])
    notes = [[None, "Frames are counted from the start of the recording."], [None, "Three clips are lost."]]
    base = root / "SMIC-E_raw image" / f"{camera}_long"
    write_book(base / name, {"Sheet1": [SMIC_LONG_HEADER, *rows, [], *notes]})
    for subject, file, _, first, last in SMIC_LONG:
        if first != "lost":
            folder = file.replace("s03", "s3")
            numbers = range(first, last + 1)
            write_frames(base / f"SMIC-{camera}-E" / f"s{subject:02d}" / folder, numbers, "image{:06d}.jpg", frame)


CASME_SQ = [  # subject index, expression, onset, apex, offset, action units, emotion, type
    (1, "disgust1_1", 998, 1001, 1006, "4+9", "negative", "micro-expression"),
    (1, "disgust1_2", 20, 24, 0, 4, "negative", "micro-expression"),  # no offset
    (1, "happy1_12", 10, 0, 16, 12, "positive", "micro-expression"),  # no apex
    (1, "happy1_3", 30, 34, 60, "6+12", "positive", "macro-expression"),
    (2, "happy1_1", 5, 8, 11, 12, "surprise", "micro-expression"),
    (2, "disgust1_1", 5, 8, 11, 12, "others", "micro-expression"),
]
CASME_SQ_VIDEOS = {  # folder of a subject -> of a video -> its frames
    "s15": {"15_0101disgustingteeth": [*range(15, 40), *range(990, 1010)], "15_0502 kid(laughs)": range(1, 70)},
    "s16": {"16_0101disgustingteeth": range(1, 20), "16_0502kid": range(1, 20)},
}


def write_casme_sq(root, frame=image, name="CAS(ME)^2code_final(Updated).xlsx"):
    """No header in any sheet; the code 0101 stored as the number 101; folders end in free text."""
    rows = [[*row, "happiness"] for row in CASME_SQ]
    write_book(root / name, {"CASFEcode_final": rows, "naming rule1": [[15, "s15", 1], [16, "s16", 2]],
                             "naming rule2": [[101, "disgust1"], ["0502", "happy1"]]})
    for subject, videos in CASME_SQ_VIDEOS.items():
        for video, numbers in videos.items():
            write_frames(root / "rawpic" / subject / video, numbers, "img{:03d}.jpg", frame)
    (root / "rawpic" / "s15" / "desktop.ini").write_text("junk")


CASME3 = [  # subject, file, onset, apex, offset, action units, emotion
    ("spNO.1", "a", 355, 358, 362, "4+L14", "disgust"),
    ("spNO.1", "a", 400, 403, 408, "T10", "happy"),  # the same video
    ("spNO.14", "J", 3, 12, 15, "B17", "surprise"),  # upper-case file; frames 1..8 are lost
    ("spNO.216", "e", 0, 0, 9, "4", "fear"),  # onset and apex 0
    ("spNO.216", "d", 3647, 2650, 2655, "4", "anger"),  # onset mistyped
    ("spNO.40", "e", 1830, 1834, 0, "4", "sad"),  # offset 0
    ("spNO.214", "c", 5, 12, 3460, "4", "Others"),  # offset mistyped
    ("spNO.149", "d", 112, 83, 120, "4", "others"),  # apex before onset
]
CASME3_FRAMES = [range(350, 370), range(398, 410), range(9, 40), range(1, 12), range(2645, 2660), range(1825, 1845),
                 range(1, 40), range(110, 125)]
CASME3_HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]


def casme3_book(root, version="v2"):
    """v2 is an .xlsx with sheets label, Sheet1, Sheet3; v1 an .xls with two more columns without a name."""
    rows = [[*row[:6], "IV", row[6]] for row in CASME3]
    name = f"annotation/cas(me)3_part_A_ME_label_JpgIndex_{version}"
    if version == "v2":
        write_book(root / f"{name}.xlsx", {"label": [CASME3_HEADER, *rows], "Sheet1": [], "Sheet3": []})
    else:
        rows.append(["spNO.2", "a", 5, 8, 11, "4", "I", "disgust"])
        write_book(root / f"{name}.xls", {"Sheet1": [CASME3_HEADER, *([*row, 1, 2] for row in rows)]})
    write_book(root / "annotation/CAS(ME)3_part_A_v2.xls", {"AU+Emotion": [["Subject"]], "eye blink": []})


def casme3_clips(root, frame=image):
    """One folder an expression, named with a lower-case o; depth and macro-expressions beside it."""
    for (subject, file, onset, *_), numbers in zip(CASME3, CASME3_FRAMES, strict=True):
        name = f"{subject.replace('NO', 'No')}_{file}_{onset}"
        inside = [number for number in numbers if number >= (onset if onset < 3000 else 2645)]
        write_frames(root / "Part_A_ME_clip/Part_A_ME_clip/frame" / name, inside, "{}.jpg", frame)
        write_frames(root / "Part_A_ME_clip/Part_A_ME_clip/depth" / name, inside[:1], "{}.png", frame)
    write_frames(root / "Part_A_MaE_clip/frame/spNo.1_a_355", [355], "{}.jpg", frame)


def casme3_videos(root, frame=image):
    """Whole videos: spNO.1/a/color."""
    for (subject, file, *_), numbers in zip(CASME3, CASME3_FRAMES, strict=True):
        for kind, suffix in (("color", "jpg"), ("depth", "png")):
            folder = root / "part_A/data/part_A_split/part_A" / subject / file / kind
            write_frames(folder, numbers, "{}." + suffix, frame)


def write_casme3(root, frame=image):
    casme3_book(root)
    casme3_clips(root, frame)


def write_casme3_c(root, frame=image):
    """Part C: no apex, one separator of action units is a full-width comma."""
    rows = [[1, 1, 5, 9, "4,7", "negative"], [1, 2, 12, 18, "6\N{FULLWIDTH COMMA}12", "positive"],
            [12, 1, 3, 8, 4, "surprise"], [12, 2, 10, 14, "14", "others"]]
    write_book(root / "annotation/CAS(ME)3_part_C_ME.xlsx",
               {"mockCrimeME": [["sub", "count", "onset", "offset", "au", "emotion"], *rows]})
    for subject in ("01", "12"):
        write_frames(root / "part_C/part_C" / subject / "a/color", range(1, 21), "{}.jpg", frame)


MMEW = [  # file, onset, apex, offset, action units, emotion, folder
    ("S01-01-001", 1, 6, 12, "12", "happiness", "happiness"),
    ("S01-04-002", 1, 5, 12, "9", "disgust", "disgust"),
    ("S02-07-001", 1, 5, 12, "24", "others", "repression"),  # the folder's name differs
    ("S02-02-001", 1, 30, 99, "1+2", "surprise", "surprise"),  # apex and offset wrong
    ("S03-05-001", 1, 5, 0, "1+4", "fear", "fear"),  # offset wrong
    ("S03-06-001", 401, 405, 412, "15", "sadness", "sadness"),  # absolute numbers
]
MMEW_HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion",
               "remarks"]


def write_mmew(root, frame=image, by_subject=False, name="MMEW_Micro_Exp.xlsx"):
    """Micro clips below their emotion, or, `by_subject`, below subject and emotion; macro images beside them."""
    write_book(root / name, {"Sheet1": [MMEW_HEADER, *([int(row[0][1:3]), *row[:6], None] for row in MMEW)]})
    for file, *_, folder in MMEW:
        level = f"{file[:3]}/{folder}" if by_subject else folder
        write_frames(root / "Micro_Expression" / level / file, range(1, 13), "{}.jpg", frame)
    for subject in ("S01", "S02"):
        for code, emotion in (("01", "happiness"), ("03", "anger")):
            folder = root / "Macro_Expression" / subject / emotion
            write_frames(folder, [1, 2], f"{subject}-{code}-" + "{:03d}.jpg", frame)
