"""``rl-jax reproduce``: run recipes and studies, judge them, and write what was found."""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.claims import attempts, library
from rl_jax.run.claims.execute import KeptArms, run, seeds_of, study_folder
from rl_jax.run.claims.judge import judge_again
from rl_jax.run.claims.recipe import Recipe
from rl_jax.run.claims.source_files import in_reach
from rl_jax.run.claims.table import failed_gates, table
from rl_jax.run.storage.config import write_json
from rl_jax.run.storage.ownership import check_writable, own
from rl_jax.run.training.setup import cores_that_divide, make_cpu_devices


def reproduce(given: Any) -> None:
    """Run the recipes that were asked for, one after the other; those of one study share its arms.

    Raises:
        RLJaxError: no recipe is named, one does not exist, two have one name, or the results cannot be written; before anything is
            run. Or a recipe failed; after all others were run.
    """
    named = bool(given.recipes) + given.all + (given.study is not None)
    if given.list and named:
        raise RLJaxError("--list shows all recipes and runs none: give it alone")
    if given.list:
        _show_list()
        return
    if given.all and given.recipes:
        raise RLJaxError("--all runs every recipe: leave out the names, or --all")
    if named > 1:
        raise RLJaxError("--study runs all recipes of one study: leave out the names and --all, or --study")
    if not named:
        raise RLJaxError("name recipes, or give --study NAME or --all; --list shows them")
    if given.record and given.quick:
        raise RLJaxError("a quick slice is no result: leave out --record or --quick")
    if given.verdict_only and (given.quick or given.fresh):
        raise RLJaxError("--verdict-only runs nothing: leave out --quick and --fresh")
    names = given.recipes or (library.recipes() if given.study is None else library.claims_of(given.study))
    chosen = [library.load(name) for name in dict.fromkeys(names)]
    _check_slugs(chosen)
    if given.verdict_only:
        _judge_only(chosen, given)
        return
    folders = [given.out / recipe.slug for recipe, _ in chosen]
    folders += [study_folder(recipe, given.out) for recipe, _ in chosen if recipe.study]
    with ExitStack() as owned:
        for folder in dict.fromkeys(folders):
            owned.enter_context(own(folder))
            check_writable(folder)
        make_cpu_devices(cores_that_divide(len(seeds_of(chosen[0][0], given.quick))))
        _run_all(chosen, given)


def _check_slugs(chosen: list[tuple[Recipe, Path]]) -> None:
    """Refuse two files of one slug: they would write the same result."""
    paths: dict[str, Path] = {}
    for recipe, path in chosen:
        if (first := paths.setdefault(recipe.slug, path)).resolve() != path.resolve():
            raise RLJaxError(
                f"{first} and {path} would both write the result '{recipe.slug}': give another name to one of them"
            )


def _run_all(chosen: list[tuple[Recipe, Path]], given: Any) -> None:
    arms = {path: KeptArms(recipe, path, given.out, given.quick) for recipe, path in chosen}
    if given.fresh:
        for kept in arms.values():
            kept.forget()
    # One study after the other: what its arms share need not be in memory any longer.
    order = list(dict.fromkeys(recipe.study or recipe.slug for recipe, _ in chosen))
    shared: dict[str, dict[Any, Any]] = {}

    def one(recipe: Recipe, path: Path) -> dict[str, Any]:
        nonlocal shared
        folder, group = given.out / recipe.slug, recipe.study or recipe.slug
        shared = {group: shared.get(group, {})}
        with in_reach(path, library.around(path)):
            result = run(recipe, given.quick, given.quiet, arms[path], shared[group])
        compared = None if given.quick else _compare(path, result)
        if not given.quick:
            result = attempts.numbered(result, attempts.last(path), given.record)
        write_json(folder / "result.json", result)
        _draw(result, folder / "plot.png")
        if given.record:
            _record(path, result)
        left_out = [name for name in recipe.arms if name not in result["arms"]]
        if not given.quiet:
            print(table(result), file=sys.stderr)
            if compared:
                print(compared, file=sys.stderr)
            if left_out:
                ran = f"{len(result['arms'])} of {len(recipe.arms)} arms were run"
                print(f"  {ran}; --quick leaves out {', '.join(left_out)}", file=sys.stderr)
        line = {"slug": recipe.slug, "verdict": result["verdict"], "seconds": result["seconds"], "out": str(folder)}
        return line | ({"left_out": left_out} if left_out else {}) | _gates_of(result)

    _each(sorted(chosen, key=lambda each: order.index(each[0].study or each[0].slug)), one)


def _each(chosen: list[tuple[Recipe, Path]], one: Callable[[Recipe, Path], dict[str, Any]]) -> None:
    """Do something with every recipe, and print its JSON line once it is done; a recipe that fails does not stop the others.

    Raises:
        RLJaxError: some failed; each error was printed, unless it is the only recipe's.
    """
    failed = []
    for recipe, path in chosen:
        try:
            print(json.dumps(one(recipe, path)), flush=True)
        except RLJaxError as error:
            if len(chosen) == 1:
                raise
            failed.append(recipe.slug)
            text = " ".join(str(error).split()).removeprefix(f"{recipe.slug}: ")
            print(f"rl-jax: error: {recipe.slug}: {text}", file=sys.stderr)
    if failed:
        raise RLJaxError(f"{len(failed)} of {len(chosen)} recipes failed, as said above: {', '.join(failed)}")


def _gates_of(result: dict[str, Any]) -> dict[str, Any]:
    return {"failed_gates": failed} if (failed := failed_gates(result)) else {}


def _draw(result: dict[str, Any], path: Path) -> None:
    from rl_jax.run.claims.plot import draw

    draw(result, path)


def _compare(path: Path, result: dict[str, Any]) -> str | None:
    """Whether the numbers are those of the committed result."""
    before = attempts.last(path)
    if before is None:
        return None
    name, seeds = attempts.committed(path).name, before["seeds"]
    where = f"{name} ({before['device']}, jax {before['versions']['jax']}, {before['date']}: {before['verdict']})"
    if seeds != result["seeds"]:
        return f"  not compared with {where}, which is of other seeds ({seeds[0]}-{seeds[-1]})"
    old, new = attempts.values_of(before), attempts.values_of(result)
    return f"  the numbers are {'exactly' if old == new else 'not'} those of {where}"


def _record(path: Path, result: dict[str, Any]) -> None:
    """Put the result and its plot where the documentation finds them."""
    root = attempts.record(result, path)
    _draw(result, root / "docs" / "assets" / "claims" / f"{path.stem}.png")


def _judge_only(chosen: list[tuple[Recipe, Path]], given: Any) -> None:
    """Judge the committed values again; running nothing."""

    def one(recipe: Recipe, path: Path) -> dict[str, Any]:
        before = attempts.last(path)
        if before is None:
            raise RLJaxError(f"{recipe.slug} has no committed result to judge: leave out --verdict-only, and it is run")
        result = judge_again(before)
        if given.record:
            _record(path, result)
        if not given.quiet:
            print(table(result), file=sys.stderr)
        return {"slug": recipe.slug, "verdict": result["verdict"], "committed": before["verdict"]} | _gates_of(result)

    _each(chosen, one)


def _show_list() -> None:
    """Recipes by family, then those of each study below its name."""
    entries, studies = library.recipes().values(), library.studies()
    widths = [
        2 + max((len(text) for text in texts), default=0) for texts in zip(*((e.slug, e.family) for e in entries), strict=True)
    ]
    for study in ("", *studies):
        of_study = [entry for entry in entries if entry.study == study]
        if study and of_study:
            minutes = studies[study].minutes
            print(f"study {study}" + (f", about {minutes:g} minutes" if minutes else ""), flush=True)
        for entry in of_study:
            found = attempts.last(entry.path)
            verdict = found["verdict"] if found else "not run yet"
            before = attempts.history(found) if found else ""
            slug = f"  {entry.slug}" if study else entry.slug
            print(f"{slug:{widths[0] + 2}s}{entry.family:{widths[1]}s}{verdict:15s}{before:52s}{entry.title}", flush=True)
