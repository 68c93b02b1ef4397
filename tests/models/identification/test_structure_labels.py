import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from structure_rows import NACL, SI, make_row, write_table

from phasepilot.models.errors import CrystalError
from phasepilot.models.identification.structure_labels import (
    consists_of,
    element_bits,
    read_labels,
)

URANIA = make_row(
    "O2 U",
    (225, 523),
    (5.47, 5.47, 5.47, 90.0, 90.0, 90.0),
    [(92, (0.0, 0.0, 0.0), 4), (8, (0.25, 0.25, 0.25), 8)],
    id="urania",
)


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "structures.parquet", (NACL, SI, URANIA))


def test_labels_come_in_the_order_asked_for(table):
    labels = read_labels(table, np.array(["urania", "test-NaCl"]))
    assert labels.formula.tolist() == ["UO2", "NaCl"]
    assert labels.name.tolist() == ["urania", "test-NaCl"]
    assert labels.n_atoms.tolist() == [12, 8]
    np.testing.assert_array_equal(labels.elements, [element_bits([92, 8]), element_bits([11, 17])])


def test_minerals_are_called_by_their_names(table):
    columns = pyarrow.parquet.read_table(table)
    columns = columns.append_column("mineral", pa.array(["Halite", None, None]))
    pyarrow.parquet.write_table(columns, table)
    labels = read_labels(table, np.array(["test-NaCl", "test-Si"]))
    assert labels.name.tolist() == ["Halite", "test-Si"]


def test_structures_that_the_table_lacks_are_named(table):
    with pytest.raises(CrystalError, match=r"but 'test-Ge' and 0 others are missing"):
        read_labels(table, np.array(["test-Si", "test-Ge"]))


def test_an_identifier_given_twice_is_refused(tmp_path):
    table = write_table(tmp_path / "structures.parquet", (NACL, SI, NACL))
    with pytest.raises(CrystalError, match=r"but two rows have the id 'test-NaCl'; rename one"):
        read_labels(table, np.array(["test-Si"]))


def test_a_structure_of_fewer_elements_than_allowed_is_kept():
    structures = np.stack([element_bits(one) for one in ([11, 17], [14], [92, 8], [])])
    assert consists_of(structures, [11, 17, 14]).tolist() == [True, True, False, True]
    assert consists_of(structures, [92, 8]).tolist() == [False, False, True, True]
    assert consists_of(structures, []).tolist() == [False, False, False, True]
