"""The frames of annotated clips as labelled images: DAVIS, YouTube-VOS and the Cell Tracking Challenge.

A clip is a group, so that a split never parts its frames: they show one scene. An entity of a frame is a track that is
visible in it; its id is closed up as those of any map are. Clips as clips are read by `domains.formats.clips`.
"""

from __future__ import annotations

from pathlib import Path

from domains.entities import EntityMap
from domains.formats.clip_folders import cell_clips, davis_clips, has_cells, has_davis
from domains.formats.drawing import same_size
from domains.formats.finding import own_split, printable
from domains.formats.labelled_clip import LabelledClip
from domains.formats.layout import Assumption, Fault, Layout, Listing, Record


class ClipFrames(Layout):
    name = "clip_frames"
    entities = "one object of a frame of a clip, by its number in the clip's label pictures"
    expects = "DAVIS (JPEGImages/, Annotations/ of clips) or the Cell Tracking Challenge (01/, 01_GT/TRA/man_track.txt)"

    def matches(self, root: Path) -> bool:
        """Whether the folder holds clips beside the label pictures of their frames."""
        return has_davis(root) or has_cells(root)

    def listing(self, root: Path) -> Listing:
        """Each labelled frame whose picture is here, its clip as its group."""
        clips = davis_clips(root) if has_davis(root) else cell_clips(root)
        records, faults = [], []
        for clip in clips:
            faults += [Assumption(clip.source, note) for note in clip.notes]
            if not clip.pictures:
                faults.append(Fault(clip.source, "has label pictures of frames whose pictures are not all here"))
            records += [_record(root, clip, index) for index in range(len(clip.pictures))]
        return Listing(records, faults)

    def truths(self, record: Record, shape: tuple[int, int], faults: list[Fault]) -> list[EntityMap]:
        """The objects of the frame; see `Layout.truths`."""
        draw, index = record.truth
        truth = EntityMap.from_ids(draw(index))
        same_size(record.image, shape, record.image, truth.shape)
        return [truth]


def _record(root: Path, clip: LabelledClip, index: int) -> Record:
    image = clip.pictures[index]
    place = image.relative_to(root)
    name = printable(place.with_suffix("").as_posix())
    return Record(name, image, (clip.draw, index), group=clip.name, split=own_split(place.parent))
