"""The pages say what is there: commands, options, keys, examples."""

import doctest
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from ubspark.cli.app import app
from ubspark.recipes import RECIPES
from ubspark.runtime.config import JobConfig, parse_job

_ROOT = Path(__file__).parent.parent
_PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_MAX_README_LINES = 150
_MIN_EXAMPLES = 10
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)", re.DOTALL)
_COMMAND = re.compile(r"^(?:\$ )?ubspark (?P<words>.+)$")


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _iterate_blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the fenced blocks of some languages."""
    for language, content in _FENCE.findall(_read(page)):
        if language in languages:
            yield content


def _iterate_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after each ``ubspark``, of shell blocks and of code inside sentences."""
    lines = [
        line
        for block in _iterate_blocks(page, "sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    spans = (" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", _read(page))))
    for line in (*lines, *spans):
        found = _COMMAND.match(line.strip())
        if found:
            words = shlex.split(found["words"], comments=True)
            yield words


_COMMANDS = [words for page in _PAGES for words in _iterate_commands(page)]


def test_the_readme_is_short() -> None:
    assert len(_read(_ROOT / "README.md").splitlines()) <= _MAX_README_LINES


def test_pages_name_commands() -> None:
    assert len(_COMMANDS) > 20


@pytest.mark.parametrize("words", _COMMANDS, ids=" ".join)
def test_a_named_command_and_its_options_exist(words: list[str]) -> None:
    known: Any = get_command(app)
    if words[0].startswith("-"):
        command, given = known, words
    else:
        command, given = _find_command(known, words)
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    asked = {word.partition("=")[0] for word in given if re.match(r"--[a-z]", word)}
    assert asked <= options | {"--help"}


def _find_command(known: Any, words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, in its group where it has one, and the other words."""
    while words and hasattr(known, "commands"):
        assert words[0] in known.commands
        known, words = known.commands[words[0]], words[1:]
    return known, words


def _iterate_names(command: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that name each command, those of groups too."""
    for name, inner in getattr(command, "commands", {}).items():
        yield (*above, name)
        yield from _iterate_names(inner, (*above, name))


def test_every_command_is_on_a_page() -> None:
    known = set(_iterate_names(get_command(app)))
    named = {tuple(words[:n]) for words in _COMMANDS for n in (1, 2)}
    assert ("k8s", "render") in known
    assert known <= named


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_job_files_on_pages_are_valid(page: Path) -> None:
    """Every block of YAML that is a job file passes the checks that need no table."""
    for text in _iterate_job_files(page):
        job = parse_job(yaml.safe_load(text))
        RECIPES[job.job].params.model_validate(job.params)


def _iterate_job_files(page: Path) -> Iterator[str]:
    """Yield the job files of a page, of its YAML and from inside its shell blocks."""
    for block in _iterate_blocks(page, "yaml", "sh"):
        for text in [block, *re.findall(r"<<END\n(.*?)^END$", block, re.MULTILINE | re.DOTALL)]:
            if text.startswith("job:"):
                yield text


def test_pages_hold_job_files_and_examples() -> None:
    """The tests of each page pass on a page without any."""
    jobs = [text for page in _PAGES for text in _iterate_job_files(page)]
    assert {yaml.safe_load(text)["job"] for text in jobs} >= {"crossmatch", "ingest"}
    assert len(jobs) >= 4
    assert sum(len(_parse_examples(page).examples) for page in _PAGES) >= _MIN_EXAMPLES


def _iterate_keys() -> Iterator[tuple[str, str]]:
    """Yield section and name of every key of a job file."""
    for section, field in JobConfig.model_fields.items():
        yield "", section
        inner: Any = field.annotation
        for model in (inner, *getattr(inner, "__args__", ())):
            for key in getattr(model, "model_fields", {}):
                yield section, key
    for recipe in RECIPES.values():
        for key in recipe.params.model_fields:
            yield f"params of {recipe.name}", key


@pytest.mark.parametrize(("section", "key"), list(_iterate_keys()))
def test_every_key_is_in_the_reference(section: str, key: str) -> None:
    text = _read(_ROOT / "docs" / "configuration.md")
    if not section:
        assert f"\n### `{key}`" in text
        return
    title = f"### `params` of {section.split()[-1]}" if " " in section else f"### `{section}`"
    part = text[text.index(title) :].removeprefix("###").split("\n## ")[0].split("\n### ")[0]
    assert f"| `{key}` |" in part


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_examples_print_what_they_show(page: Path) -> None:
    example = _parse_examples(page)
    result = doctest.DocTestRunner(verbose=False).run(example)
    assert (result.failed, result.attempted) == (0, len(example.examples))


def _parse_examples(page: Path) -> doctest.DocTest:
    source = "\n".join(_iterate_blocks(page, "pycon"))
    return doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_links_to_files_resolve(page: Path) -> None:
    """Sphinx checks the pages of docs/ once more, with their anchors."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", _FENCE.sub("", _read(page))):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_citation_names_this_version_and_licence() -> None:
    citation = yaml.safe_load(_read(_ROOT / "CITATION.cff"))
    project = tomllib.loads(_read(_ROOT / "pyproject.toml"))["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_changelog_fragments_are_named_by_the_rule() -> None:
    for path in (_ROOT / "changelog.d").glob("*"):
        rule = r"README\.md|\d+\.(added|changed|deprecated|removed|fixed)(\.\d+)?\.md"
        assert re.fullmatch(rule, path.name), path.name
