"""Miniatures of the macro-expression releases in their true layouts, with their quirks. Every row is invented."""

from raw_releases.plain import image, write_frames

SEVEN = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
AFFWILD2 = {  # video -> split, labels of frames 1.., frames on disk
    "12-30-1920x1080": ("Train_Set", [0] * 4 + [-1] * 2 + [4] * 5, [1, 2, 3, 4, 5, 7, 8, 9, 11]),
    "video5_left": ("Train_Set", [3] * 6, range(1, 7)),
    "135": ("Validation_Set", [6] * 150, range(1, 151)),
    "no_crops": ("Validation_Set", [1] * 3, []),
}


def write_affwild2(root, frame=image):
    """Two editions, 7 and 8 classes; two crop archives, one doubled; a gap in the frames; stray folders."""
    editions = {"annotations/EXPR_Set": (SEVEN, "Training_Set"),
                "6th ABAW Annotations/EXPR_Recognition_Challenge": (f"{SEVEN},Other", "Train_Set")}
    for place, (header, train) in editions.items():
        for video, (split, labels, _) in AFFWILD2.items():
            path = root / place / (train if split == "Train_Set" else split) / f"{video}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            labels = [7 if label == 6 and "Other" in header else label for label in labels]
            path.write_text("\n".join([header, *map(str, labels), ""]))
    for video, (_, _, numbers) in AFFWILD2.items():
        archive = "cropped_aligned_new_50_vids" if video == "135" else "cropped_aligned/cropped_aligned"
        if numbers:
            write_frames(root / archive / video, numbers, "{:05d}.jpg", frame)
    (root / "cropped_aligned/cropped_aligned/.DS_Store").mkdir()


DFEW = {1: (1, 1), 2: (6, 1), 3: (3, 2), 107: (4, 2), 16000: (7, 5)}  # clip -> label, its test fold


def write_dfew(root, frame=image):
    """Five folds of unpadded numbers; one labelled clip has no faces; a version of 16 frames beside the full one,
    which was unpacked doubled."""
    for part in ("train", "test"):
        for fold in range(1, 6):
            clips = [clip for clip, (_, test) in DFEW.items() if (test == fold) == (part == "test")]
            path = root / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / f"set_{fold}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(["video_name,label", *(f"{clip},{DFEW[clip][0]}" for clip in clips), ""]))
    for clip in DFEW:
        if clip != 3:
            name = f"{clip:05d}_" + "{:05d}.jpg"
            write_frames(root / "Clip/clip_224x224/clip_224x224" / f"{clip:05d}", range(1, 13), name, frame)
            write_frames(root / "Clip/clip_224x224_16f" / f"{clip:05d}", range(1, 17), name, frame)


FERV39K = {"train": ["Action/Happy/0015 Happy", "War/Sad/0110 Sad"], "test": ["Action/Happy/0016 Happy"]}


def write_ferv39k(root, frame=image):
    """Lists without a header; the archive unpacked doubled; scene frames beside the face crops; a very short clip."""
    for split, lines in FERV39K.items():
        path = root / "4_setups/All_scenes" / f"{split}_All.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]))
        for line in lines:
            place = line.split()[0]
            numbers = [1] if "0016" in place else range(1, 12)
            write_frames(root / "2_ClipsforFaceCrop/2_ClipsforFaceCrop" / place, numbers, "{}.jpg", frame)
            write_frames(root / "3_ClipsforScenImages" / place, [1], "{}.jpg", frame)
    (root / "4_setups/22_scenes/Action").mkdir(parents=True)


AFEW = {"Train_AFEW": {"Angry": ["000046280", "000103770"], "Happy": ["013736360"]}, "Val_AFEW": {"Sad": ["003045240"]}}


def write_afew(root, frame=image, nested=False):
    """Videos below their emotion; aligned faces without that level, or, `nested`, with it below a doubled name."""
    for part, emotions in AFEW.items():
        archive = "AlignedFaces_LBPTOP_Points" + ("_Val" if part.startswith("Val") else "")
        for emotion, clips in emotions.items():
            (root / part / emotion).mkdir(parents=True)
            for clip in clips:
                (root / part / emotion / f"{clip}.avi").write_bytes(b"RIFF")
                faces = root / part / archive / (f"{archive}/{emotion}" if nested else "Faces") / clip
                if clip != "000103770":  # no face was found in it
                    write_frames(faces, range(1, 12), clip + "-{:03d}.jpg", frame)
    (root / "Test_AFEW").mkdir()
