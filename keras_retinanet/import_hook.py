"""Something to do around the import of a module, whoever imports it."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

Around = Callable[[], contextlib.AbstractContextManager[None]]


class ImportHook(importlib.abc.MetaPathFinder):
    """Enters a context while one of some modules is executed; in force while in `sys.meta_path`.

    The modules keep no trace of it.

    Args:
        matches: whether a module of this full name is meant.
        around: gives the context.
    """

    def __init__(self, matches: Callable[[str], bool], around: Around) -> None:
        self._matches = matches
        self._around = around

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What other finders find, with our context around it; None for other modules."""
        if not self._matches(fullname):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._around)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, around: Around) -> None:
        self._loader = loader
        self._around = around

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # such as `get_code`, which python -m asks for

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with self._around():
            self._loader.exec_module(module)
