"""The page of the library names every door, and no other module."""

import re

from chapters_on_disk import ROOT
from house import doors

PAGE = (ROOT / "chapters" / "api.md").read_text(encoding="utf-8")


def test_the_page_documents_every_door_once():
    documented = re.findall(r"automodule:: relaxlib\.(\S+)\n   :members:$", PAGE, flags=re.M)
    assert sorted(documented) == sorted(doors()), "list each module with an __all__ in api.md"


def test_each_door_stands_under_its_own_import_path():
    headed = re.findall(
        r"^### `(\S+)`\n\n```\{eval-rst\}\n\.\. automodule:: (\S+)$", PAGE, flags=re.M
    )
    assert len(headed) == len(doors())
    assert all(path == module for path, module in headed)
