from __future__ import annotations

from pathlib import Path

import pytest

from impasto.cli.mixes import mix_of
from impasto.cli.outputs import check_film, is_batch, targets
from impasto.config.batch import FolderOptions
from impasto.config.job import StyleSource
from impasto.core.errors import ImageUnreadable, ImageUnwritable, OptionError
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.weighted import split_weight


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("wave.jpg", "wave.jpg", 1.0),
        ("wave.jpg:0.5", "wave.jpg", 0.5),
        ("wave.jpg:.5", "wave.jpg", 0.5),
        ("wave.jpg:1e-1", "wave.jpg", 0.1),
        ("wave.jpg:2", "wave.jpg", 2.0),
        ("wave.jpg:-0.5", "wave.jpg", -0.5),
        ("wave.safetensors:0.5", "wave.safetensors", 0.5),
        ("C:\\art\\wave.jpg", "C:\\art\\wave.jpg", 1.0),
        ("C:\\art\\wave.jpg:0.25", "C:\\art\\wave.jpg", 0.25),
        ("C:5", "C:5", 1.0),
        ("a:b:c.png", "a:b:c.png", 1.0),
        ("a:b:3", "a:b", 3.0),
    ],
)
def test_weights_are_told_from_names(text: str, path: str, weight: float) -> None:
    assert split_weight(text) == (path, weight)


def test_a_file_of_the_whole_name_wins(here: Path) -> None:
    (here / "opus:5").touch()
    assert split_weight("opus:5") == ("opus:5", 1.0)


def test_one_mask_is_for_all_styles() -> None:
    sources = mix_of(["a", "b:0.5"], scales=(1.0,), masks=(Path("m"),))
    assert [source.mask for source in sources] == [Path("m")] * 2


def test_scales_and_masks_follow_the_styles() -> None:
    mix = mix_of(["a.png:2", "b.png"], scales=(0.5, 2.0), masks=(Path("m.png"), Path("n.png")))
    assert [(s.source, s.weight, s.scale, s.mask) for s in mix] == [
        ("a.png", 2.0, 0.5, Path("m.png")),
        ("b.png", 1.0, 2.0, Path("n.png")),
    ]
    assert [s.scale for s in mix_of(["a", "b"], scales=(3.0,), masks=())] == [3.0, 3.0]


@pytest.mark.parametrize(
    ("styles", "scales", "masks", "message"),
    [
        (["a", "b"], (1.0, 1.0, 1.0), (), "`style_scale` has 3 values"),
        (["a", "b"], (1.0,), (Path("m"),) * 3, "`mask` has 3 values"),
        (["wave:1e999"], (1.0,), (), "the weight of `style=wave` is inf"),
        (["a"], (100.0,), (), "`style_scale` is 100"),
    ],
)
def test_mixes_that_do_not_fit(
    styles: list[str], scales: tuple[float, ...], masks: tuple[Path, ...], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        mix_of(styles, scales=scales, masks=masks)


def stem_of(text: str) -> str:
    return StyleCatalogue().resolve(StyleSource(source=text)).stem


def named(
    contents: list[str], output: str | None, styles: tuple[str, ...] = ("style.png",), pairs: str | None = None
) -> list[str]:
    made = targets(
        [Path(c) for c in contents],
        Path(output) if output else None,
        styles=styles,
        stem_of=stem_of,
        folder=FolderOptions(pairs=pairs),
    )
    return [target.output.as_posix() for target in made]


def test_names_of_outputs(here: Path) -> None:
    (here / "folder").mkdir()
    assert named(["a.jpg"], "out.jpg") == ["out.jpg"]
    assert named(["a.jpg"], None) == ["a-style.png"]
    assert named(["a.jpg"], "folder") == ["folder/a-style.png"]
    assert named(["a.jpg"], "new") == ["new/a-style.png"]
    assert named(["a.jpg", "b.jpg"], "new", ("x.png:0.5", "y.png")) == ["new/a-x+y.png", "new/b-x+y.png"]


def test_no_two_contents_get_one_name(here: Path) -> None:
    assert named(["a.jpg", "a.png", "b/A.png"], "new") == ["new/a-style.png", "new/a-style-2.png", "new/A-style-3.png"]


def test_a_folder_of_contents_keeps_its_subfolders_and_leaves_outputs_out(here: Path) -> None:
    for name in ("in/a.png", "in/sub/a.png", "in/out/old.png", "in/notes.txt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    assert named(["in"], "in/out") == ["in/out/a-style.png", "in/out/sub/a-style.png"]
    assert named(["in"], "else") == ["else/a-style.png", "else/out/old-style.png", "else/sub/a-style.png"]


def test_outputs_that_cannot_be(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "in").mkdir()
    (here / "in" / "a.png").touch()
    for contents, output, error, message in (
        (["a.jpg", "b.jpg"], None, OptionError, "-o FOLDER"),
        (["a.jpg", "b.jpg"], "out.png", OptionError, "one file"),
        (["a.jpg"], "out.xyz", OptionError, "picture format"),
        (["content.png"], "content.png", OptionError, "one of the inputs"),
        (["content.png"], "style.png", OptionError, "one of the inputs"),
        (["content.png"], "style.png/out.png", ImageUnwritable, "is a file"),
        (["in"], "in", OptionError, "holds the contents"),
        (["empty"], "new", ImageUnreadable, "no pictures"),
    ):
        with pytest.raises(error, match=message):
            named(contents, output)


@pytest.fixture
def styles(here: Path) -> Path:
    """A folder of three styles, one of them saved without its picture, and what is no style."""
    for name in ("b.png", "a.jpg", "sub/c.safetensors", ".hidden.png", "notes.txt", "out/old.png"):
        path = here / "styles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return here / "styles"


def test_a_folder_of_styles_is_each_of_them(styles: Path) -> None:
    made = targets([Path("x.png"), Path("y.png")], Path("styles/out"), styles=["styles"], stem_of=stem_of)
    assert [(t.content.name, [Path(s).name for s in t.styles], t.output.name) for t in made] == [
        ("x.png", ["a.jpg"], "x-a.png"),
        ("x.png", ["b.png"], "x-b.png"),
        ("x.png", ["c.safetensors"], "x-c.png"),
        ("y.png", ["a.jpg"], "y-a.png"),
        ("y.png", ["b.png"], "y-b.png"),
        ("y.png", ["c.safetensors"], "y-c.png"),
    ]


def test_pairs_go_in_order(styles: Path) -> None:
    assert named(["x.png", "y.png", "z.png"], "styles/out", ("styles",), "zip") == [
        f"styles/out/{name}.png" for name in ("x-a", "y-b", "z-c")
    ]


def test_one_content_with_a_folder_is_several_pictures(styles: Path) -> None:
    assert len(named(["x.png"], "new", ("styles",))) == 4
    assert not is_batch([Path("x.png")])


def test_each_style_by_itself(styles: Path) -> None:
    assert named(["x.png"], "new", ("b.png", "c.png"), "all") == ["new/x-b.png", "new/x-c.png"]
    assert named(["x.png", "y.png"], "new", ("b.png", "c.png"), "zip") == ["new/x-b.png", "new/y-c.png"]
    assert len(named(["x.png"], "new", ("style.png", "styles"), "all")) == 5


def test_a_network_stands_for_each_of_its_styles(here: Path) -> None:
    def paint(styles: list[str], pairs: str | None = None) -> list[str]:
        made = targets(
            [Path("x.png")],
            Path("new"),
            styles=styles,
            stem_of=stem_of,
            styles_of=lambda text: ["wave", "scream"] if text == "both" else [],
            folder=FolderOptions(pairs=pairs, format="jpg"),
        )
        return [target.output.name for target in made]

    assert paint(["both"]) == ["x-wave.jpg", "x-scream.jpg"]
    assert paint(["both", "style.png"], "all") == ["x-wave.jpg", "x-scream.jpg", "x-style.jpg"]
    with pytest.raises(OptionError, match="cannot be mixed in"):
        paint(["both", "style.png"])


def test_the_format_is_that_of_the_file(here: Path) -> None:
    with pytest.raises(OptionError, match="--format is for outputs in a folder"):
        targets(
            [Path("x.png")],
            Path("out.png"),
            styles=["style.png"],
            stem_of=stem_of,
            folder=FolderOptions(format="jpg"),
        )


@pytest.mark.parametrize(
    ("given", "output", "pairs", "message"),
    [
        (("styles", "style.png"), "new", None, "cannot be mixed in"),
        (("style.png", "styles"), "new", None, "cannot be mixed in"),
        (("styles:0.5",), "new", None, "gives a weight to a folder or network"),
        (("styles",), "new", "zip", "there are 4 and 1"),
        (("style.png",), "new", "zip", "is for several styles"),
        (("style.png",), "new", "all", "is for several styles"),
        (("styles",), None, None, "-o FOLDER"),
        (("styles",), "out.png", None, "one file"),
        (("styles",), "styles", None, "holds the styles"),
    ],
)
def test_folders_of_styles_that_cannot_be(
    styles: Path, given: tuple[str, ...], output: str | None, pairs: str | None, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        named(["content.png"], output, given, pairs)


def test_a_folder_without_styles(here: Path) -> None:
    (here / "none").mkdir()
    with pytest.raises(ImageUnreadable, match="no saved styles"):
        named(["content.png"], "new", ("none",))


def test_another_name_of_an_input_is_known(here: Path) -> None:
    (here / "link.png").symlink_to(here / "content.png")
    with pytest.raises(OptionError, match="one of the inputs"):
        named(["content.png"], "link.png")


def test_films_have_an_ending_and_replace_no_input(here: Path) -> None:
    check_film(here / "a.gif", inputs=[here / "content.png"])
    with pytest.raises(OptionError, match=r"\.gif or \.mp4"):
        check_film(here / "a.avi", inputs=[])
    (here / "in.gif").touch()
    with pytest.raises(OptionError, match="one of the inputs"):
        check_film(here / "in.gif", inputs=[here / "in.gif"])
