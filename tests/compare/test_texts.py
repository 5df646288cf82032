from dataclasses import dataclass

from simckpt.compare.texts import MOST_LINES, text_differences
from simckpt.model.documents import CodeModule, Manifest, Repository, Stage, Text
from simckpt.model.record import content_hash
from simckpt.model.series import Checkpoint, Parts


@dataclass
class Recorded:
    checkpoints: tuple
    documents: dict

    def document(self, reference):
        return self.documents[reference]


def recorded(config="a = 1\n", source="x = 1\n", diff=None, path="run.toml", keep=True):
    documents = {}

    def store(document):
        documents[content_hash(document)] = document
        return content_hash(document)

    manifest = Manifest(
        stage=Stage(),
        command=("x",),
        working_directory="/",
        driver="m:f",
        parameters={},
        modules=(
            CodeModule(
                name="solver",
                path="solver.py",
                hash="0" * 64,
                source=store(Text(name="solver.py", text=source)),
            ),
        ),
        repositories=(
            Repository(
                root="/src/kh", commit="1", diff=store(Text(name="d", text=diff)) if diff else None
            ),
        ),
    )
    parts = Parts(manifest=store(manifest), configuration=(store(Text(name=path, text=config)),))
    last = Checkpoint(
        parents=(),
        segment=0,
        index=0,
        label="x",
        reason="user",
        step=0,
        t=0.0,
        wall=0.0,
        parts=parts,
    )
    return Recorded((last,), documents if keep else {parts.manifest: manifest})


def test_texts_that_are_the_same_are_no_difference():
    assert text_differences(recorded(), recorded(path="elsewhere/run.toml")) == ()


def test_a_changed_file_is_shown_line_by_line():
    (found,) = text_differences(recorded(), recorded(config="a = 2\n"))
    assert (found.what, found.name) == ("configuration", "run.toml")
    assert "-a = 1" in found.lines
    assert "+a = 2" in found.lines


def test_code_and_changes_that_were_not_committed_are_shown():
    found = text_differences(recorded(), recorded(source="x = 2\n", diff="+y\n"))
    assert [(f.what, f.name) for f in found] == [
        ("changes not committed", "kh"),
        ("code", "solver"),
    ]


def test_a_long_difference_is_cut_and_counted():
    long = "\n".join(f"line {i}" for i in range(2000))
    (found,) = text_differences(recorded(), recorded(config=long))
    assert len(found.lines) == MOST_LINES
    assert found.more > 1000


def test_runs_without_checkpoints_or_texts_have_none():
    assert text_differences(Recorded((), {}), recorded())
    assert text_differences(Recorded((), {}), Recorded((), {})) == ()
    assert text_differences(recorded(keep=False), recorded(config="b", keep=False)) == ()


def test_a_text_under_another_name_is_held_against_its_twin():
    (found,) = text_differences(recorded(), recorded(config="a = 2\n", path="other.toml"))
    assert found.name == "run.toml → other.toml"
    assert found.lines[-2:] == ("-a = 1", "+a = 2")
    assert text_differences(recorded(), recorded(path="other.toml")) == ()
