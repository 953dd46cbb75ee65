"""Files that are replaced: the old one or the new one, and nothing else."""

import pytest

from relaxlib._files import replace_file


def test_a_file_is_replaced_in_one_move(tmp_path):
    path, drafts = tmp_path / "log.txt", []

    def write(draft):
        drafts.append(draft)
        assert draft.parent == tmp_path
        assert not draft.exists()
        assert [entry.read_text() for entry in tmp_path.iterdir()] == (
            ["0"] if path.exists() else []
        )
        draft.write_text(str(len(drafts) - 1))

    for number in range(2):
        replace_file(path, write)
        assert path.read_text() == str(number)
        assert list(tmp_path.iterdir()) == [path]
    assert drafts[0].name != drafts[1].name  # nobody knows it before


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_file(failure, tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("old")

    def write(draft):
        draft.write_text("half of")
        raise failure

    with pytest.raises(failure):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
