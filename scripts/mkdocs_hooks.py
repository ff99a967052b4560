"""What the documentation's build needs beyond mkdocs: generated parts first, and docstring roles as links.

mkdocs loads this file as hooks, griffe as an extension.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[1]
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`(?P<short>[~.]?)(?P<name>[\w.]+)`")
TABLE = re.compile(r"(?m)^(=+(?: =+)+)$[\s\S]*?^\1$(?:[\s\S]*?^\1$)?")


def script(name: str) -> Any:
    """A script beside this file, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def on_pre_build(config: Any, **kwargs: Any) -> None:
    """Write the generated parts."""
    script("make_docs_tables").main()


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Generated parts are included where they are wanted, with links relative to that page, and tables get their defaults."""

    def include(match: re.Match[str]) -> str:
        text = (ROOT / "docs" / "_generated" / f"{match['name']}.md").read_text()
        depth = page.file.src_uri.count("/")
        return text.replace("(@assets/", "(" + "../" * depth + "assets/")

    def code(match: re.Match[str]) -> str:
        text = (ROOT / "docs" / "slots.py").read_text()
        return f"```python\n{_section(text, match['name'])}\n```"

    markdown = re.sub(r"<!-- code: (?P<name>[\w-]+) -->", code, markdown)
    markdown = markdown.replace("<!-- changelog -->", (ROOT / "CHANGELOG.md").read_text())
    markdown = re.sub(r"<!-- generated: (?P<name>\w+) -->", include, markdown)
    return script("docs_defaults").with_defaults(markdown)


def _section(text: str, name: str) -> str:
    """The lines between a file's marks of a section."""
    found = re.search(rf"# --8<-- \[start:{name}\]\n(.*?)\n# --8<-- \[end:{name}\]", text, re.DOTALL)
    if found is None:
        raise PluginError(f"docs/slots.py has no section '{name}'")
    return found[1].strip()


#: What is only seen in a page that was not put together: marks of inclusions, templates and references.
UNMADE = re.compile(
    r"--\s?8\s?(?:<|&lt;)\s?--|(?:<|&lt;)!-- (?:(?:generated|code|defaults):|changelog)|\{\{ |^::: ", re.MULTILINE
)


def on_post_page(output: str, page: Any, **kwargs: Any) -> str:
    """Look at what was built: an inclusion that stands there as text fails the build."""
    if found := UNMADE.search(output):
        raise PluginError(
            f"{page.file.src_uri} shows '{found[0].strip()}' as text: see scripts/mkdocs_hooks.py for what is included how"
        )
    return output


def linked(text: str, scope: str) -> str:
    """Sphinx roles as links that stay plain text where nothing is documented under the name."""

    def link(match: re.Match[str]) -> str:
        name, shown = match["name"], match["name"]
        if match["short"] or name.startswith("rl_jax."):
            shown = name.rsplit(".", 1)[-1] if match["short"] else name
        if "." not in name:
            name = f"{scope}.{name}"
        return f'<autoref identifier="{name}" optional><code>{shown}</code></autoref>'

    return TABLE.sub(lambda match: f"\n```text\n{match[0]}\n```\n", ROLE.sub(link, text))


class Roles(griffe.Extension):
    """Rewrites every docstring by :func:`linked`."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each object found. Members of a protocol are shown even where its own docstring says all."""
        parent = obj.parent
        if parent is not None and parent.is_class and "Protocol" in [str(base) for base in parent.bases] and not obj.docstring:
            obj.docstring = griffe.Docstring(f"Part of the protocol `{parent.name}`.", parent=obj)
        if obj.docstring:
            module = obj.path if obj.is_module else obj.module.path
            if obj.parent is not None and obj.parent.is_class and re.search(r":meth:`\w+`", obj.docstring.value):
                module = obj.parent.path
            if obj.is_class and ":meth:" in obj.docstring.value:
                module = obj.path
            obj.docstring.value = linked(obj.docstring.value, module)
