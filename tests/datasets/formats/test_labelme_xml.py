"""The XML files of LabelMe's web tool: boxes, images in folders, and every fault by its line."""

from xml.parsers import expat

import pytest

from keras_retinanet.datasets.formats.labelme import read_labelme, read_labelme_xml
from keras_retinanet.datasets.formats.voc import read_voc
from tests.datasets.make import objects, one_fault, write_image

# As the tool writes it: line breaks around texts, of which the names of files are some too.
FILE = """<annotation><filename>
{name}
</filename><folder>users/anna</folder><source><submittedBy>anna</submittedBy></source>
<imagesize><nrows>20</nrows><ncols>30</ncols></imagesize>{objects}</annotation>"""

POLYGON = """<object><name>
dog
</name><deleted>{deleted}</deleted><polygon><username>anna</username>{points}</polygon></object>"""

MASK = """<object><name>cat</name><segm><box><xmin>2</xmin><ymin>3</ymin><xmax>12</xmax>
<ymax>9.5</ymax></box><mask>a.png</mask></segm></object>"""


def polygon(*points, deleted=0):
    text = "".join(f"<pt><x>\n{x}\n</x><y>\n{y}\n</y></pt>" for x, y in points)
    return POLYGON.format(points=text, deleted=deleted)


def write(folder, *contents, name="a.jpg"):
    write_image(folder / name)
    (folder / "a.xml").write_text(FILE.format(name=name, objects="".join(contents)))
    return folder


@pytest.mark.parametrize("read", [read_labelme, read_labelme_xml])
def test_polygons_and_masks_become_boxes_and_deleted_objects_do_not(tmp_path, read):
    triangle = polygon((4, 5), (11.5, 7), (6, 15))
    write(tmp_path, triangle, polygon((1, 1), (2, 1), (2, 2), deleted=1), MASK)
    assert objects(read(tmp_path)) == {
        "a.jpg": [("dog", [4, 5, 11.5, 15], False), ("cat", [2, 3, 12, 9.5], False)]
    }


def test_images_lie_in_the_folder_that_the_file_names(tmp_path):
    write_image(tmp_path / "Images" / "users" / "anna" / "a.jpg")
    (tmp_path / "a.xml").write_text(FILE.format(name="a.jpg", objects=MASK))
    dataset = read_labelme_xml(tmp_path, tmp_path / "Images")
    assert dataset.files == (str(tmp_path / "Images/users/anna/a.jpg"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<annotation>", "a.xml: not XML (no element found: line 1, column 12)"),
        ("<voc/>", "a.xml: not a LabelMe file: its outermost element is <voc>, not <annotation>"),
        ("<annotation/>", "a.xml: filename, the name of the image, is missing"),
        (
            "<annotation><object><bndbox/></object></annotation>",
            "a.xml: not a LabelMe file: its objects have VOC's <bndbox>; say the format voc",
        ),
        (
            FILE.format(name="a.jpg", objects="").replace("20", "x"),
            "a.xml: imagesize/nrows and imagesize/ncols must be whole numbers of pixels, "
            'but is ["x", "30"]',
        ),
        (
            FILE.format(name="a.jpg", objects=polygon((1, 2), (3, "x"))),
            "a.xml, object 1: points must be pairs of finite numbers, but is "
            '[["1", "2"], ["3", "x"]]',
        ),
        (
            FILE.format(name="a.jpg", objects=polygon((1, 2), (3, 4))),
            "a.xml, object 1: a polygon takes 3 points or more, but has 2",
        ),
        (
            FILE.format(name="a.jpg", objects="<object><name>dog</name></object>"),
            "a.xml, object 1: needs a polygon, or a segm whose box has finite xmin, ymin, xmax, "
            'ymax; ["", "", "", ""]',
        ),
    ],
)
def test_faults(tmp_path, text, expected):
    write_image(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(text)
    assert one_fault(read_labelme_xml, tmp_path).startswith(f"{tmp_path}: {expected}")


def test_voc_says_that_a_file_is_one_of_labelme(tmp_path):
    write(tmp_path, MASK)
    assert one_fault(read_voc, tmp_path, tmp_path) == (
        f"{tmp_path}: a.xml: not a VOC file: it is one of LabelMe; say the format labelme"
    )


@pytest.mark.parametrize("read", [read_labelme_xml, lambda folder: read_voc(folder, folder)])
def test_declared_entities_are_refused(tmp_path, read):
    write_image(tmp_path / "a.jpg")
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha"}">' for i in range(9))
    (tmp_path / "a.xml").write_text(
        f"<!DOCTYPE annotation [{entities}]><annotation><filename>&a8;</filename></annotation>"
    )
    assert one_fault(read, tmp_path).startswith(f"{tmp_path}: a.xml: declares the entity 'a0'; ")


def test_an_xml_parser_without_protection_is_refused(tmp_path, monkeypatch):
    write(tmp_path, MASK)
    monkeypatch.setattr(expat, "version_info", (2, 4, 0))
    monkeypatch.setattr(expat, "EXPAT_VERSION", "expat_2.4.0")
    assert one_fault(read_labelme_xml, tmp_path) == (
        f"{tmp_path}: a.xml: the XML parser of this Python (expat_2.4.0) has no protection against "
        "hostile files; update expat to 2.4.1 or later"
    )
