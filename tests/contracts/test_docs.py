"""Generated documents are current, and AsyncAPI's own parser accepts ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from signals.catalogue import Catalogue
from tools.docs.pages import made

ROOT = Path(__file__).resolve().parents[2]
PARSER = "@asyncapi/parser@3.6.3"
CHECK = """
const { Parser } = require("@asyncapi/parser");
const { readFileSync } = require("fs");
new Parser().parse(readFileSync(process.argv[2], "utf8")).then(({ document, diagnostics }) => {
  console.log(JSON.stringify({
    channels: document ? document.channels().all().length : 0,
    errors: diagnostics.filter((each) => each.severity < 2).map((each) => `${each.path.join(".")}: ${each.message}`),
  }));
});
"""


def test_generated_documents_are_current() -> None:
    """A reader would be told of signals and daemons that are otherwise; `make docs` mends it."""
    stale = [str(path.relative_to(ROOT)) for path, text in made(ROOT).items() if path.read_text() != text]
    assert stale == []


def test_every_signal_is_described() -> None:
    """A signal that is missing in the reference is one that nobody dares to use."""
    page = (ROOT / "docs" / "signals.md").read_text()
    api = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
    names = set(Catalogue.load())
    assert set(re.findall(r"^## (Q_\w+)$", page, re.MULTILINE)) == names
    assert api["channels"].keys() == api["components"]["messages"].keys() == names
    references = {operation["channel"]["$ref"] for operation in api["operations"].values()}
    assert references <= {f"#/channels/{name}" for name in names}


def test_links_between_documents_lead_somewhere() -> None:
    """A reader who follows a link finds the page and the heading."""
    broken = []
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            file, _, heading = target.partition("#")
            if target.startswith(("http:", "https:", "mailto:")):
                continue
            there = page.parent / file if file else page
            if not there.exists() or (heading and heading not in _anchors(there)):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_readme_leads_to_every_document() -> None:
    """What is described on a page that nothing leads to is not found."""
    text = (ROOT / "README.md").read_text()
    assert [file.name for file in sorted((ROOT / "docs").glob("*.*")) if f"(docs/{file.name})" not in text] == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.fixture(scope="module")
def parser(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Node, and a folder in which AsyncAPI's parser is installed; kept in pytest's cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    cache = getattr(request.config, "cache", None)
    if cache is None:
        pytest.skip("pytest runs without its cache, where the parser would be kept")
    folder = Path(cache.mkdir("asyncapi-parser"))
    if not (folder / "node_modules" / "@asyncapi" / "parser" / "package.json").is_file():
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), PARSER]
        try:
            done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm could not install the parser within 90 s")
        if done.returncode != 0:
            pytest.skip(f"npm could not install {PARSER}: {done.stderr.strip()[-200:]}")
    return node, folder


@pytest.mark.slow
def test_the_parser_of_asyncapi_accepts_ours(parser: tuple[str, Path]) -> None:
    """A person who makes clients or pages from it needs a document that the tools read."""
    node, folder = parser
    (folder / "check.js").write_text(CHECK)
    document = str(ROOT / "docs" / "asyncapi.yaml")
    done = subprocess.run([node, str(folder / "check.js"), document], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"channels": len(Catalogue.load()), "errors": []}
