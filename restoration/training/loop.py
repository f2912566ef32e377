"""Training: one recipe, one folder of pictures, any amount of time.

Runs unchanged on CPU and CUDA, in one process or several: bf16 autocast, channels-last, EMA, gradient clipping,
checkpoints, resume. Under `steps` a resumed training equals the unbroken one bit for bit on a CPU.
"""

from __future__ import annotations

import math
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from restoration.architectures.norms import settle
from restoration.errors import OptionError
from restoration.inference.device import choose_device, cpu_has_bf16
from restoration.registry import MODELS
from restoration.training import checkpoint
from restoration.training.beginning import LEARNING_RATE, Beginning, check_numbers
from restoration.training.checkpoint import Rival, Run
from restoration.training.data import Pictures, Say, find_folder, load_pictures
from restoration.training.optimisers import MuonAndAdam
from restoration.training.processes import Processes, join
from restoration.training.progress import Display
from restoration.training.recipes import Recipe
from restoration.training.run_folder import RunFolder, describe, environment
from restoration.training.session import PRETRAINED, Engine, Session, StopSignal
from restoration.training.starts import warm_tail
from restoration.training.steps import describe_losses, make_step
from restoration.weights import WeightStore, load_strictly


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    store: WeightStore,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
    seed: int | None = None,
    workers: int = 1,
    stop_after: int | None = None,
    learning_rate: float | None = None,
) -> Path:
    """Trains for `minutes` or `steps` in all (earlier parts of a resumed run count) and writes the averaged weights.

    Ctrl-C and SIGTERM stop after the step in progress; the run folder is complete then too.

    Args:
        recipe: what to train.
        data: the folder that holds `recipe.folder`, or one with pictures right in it.
        out: the run folder; see `restoration.training.run_folder`.
        store: where warm starts come from.
        minutes, steps: the total, which the schedule belongs to; with `resume` neither means the checkpoint's own.
        resume: go on from `out/last.pt` when it is there.
        device: "auto", "cpu" or "cuda".
        seed: of everything random, 0 and more; None = the checkpoint's with `resume`, else 0.
        workers: processes that make pairs; 0 = this one.
        stop_after: stop after this many more steps, to be resumed later as if there had been no stop.
        learning_rate: at its highest, above 0 and at most 1; None = the recipe's, with `resume` the checkpoint's.

    Returns: the path of the safetensors file.

    Raises:
        OptionError: a number that cannot be, neither or both of `minutes` and `steps`, another seed or rate than the
            checkpoint's, weights to start from that do not fit, or the device is not there. Nothing in the run folder
            was changed then.
        DataError: the folder or the checkpoint cannot be used.
        WeightsError: weights to start from are missing.
    """
    check_numbers(seed=seed, workers=workers, stop_after=stop_after, learning_rate=learning_rate)
    target, engine = torch.device(choose_device(device)), _engine(recipe)
    beginning = Beginning.choose(out, resume=resume, minutes=minutes, steps=steps, seed=seed)
    seed, resumed = beginning.seed, beginning.checkpoint is not None
    recipe = replace(recipe, learning_rate=beginning.learning_rate(learning_rate, recipe.learning_rate))
    pictures = load_pictures(find_folder(data, recipe.folder), recipe.tile_minimum, squares=recipe.squares)
    processes = join(target)
    torch.manual_seed(seed)
    run = _build(recipe, store, out, processes.device, resumed=resumed)
    if learning_rate is not None:
        run.notes[LEARNING_RATE] = repr(learning_rate)
    beginning.fill(run)
    processes.wait()  # until all have read the checkpoint
    display = Display(out.name, silent=not processes.main)
    if beginning.missing:
        display.say(f"{beginning.missing}: this is a new training")
    recipe = _prepared(recipe, processes, pictures, out, seed=seed, workers=workers, say=display.say)
    with StopSignal() as stop:
        session = Session(
            recipe=recipe, card=MODELS[recipe.model], run=run, length=beginning.length, pictures=pictures,
            folder=RunFolder(out), processes=processes, display=display,
            stop=stop, bf16=recipe.precision == "auto" and _has_bf16(processes.device), seed=seed, workers=workers,
            stop_after=stop_after,
        )  # fmt: skip
        _open(session, resume_at=run.step if resumed else None)
        with session:
            engine(session)
        return _finish(session)


def _prepared(
    recipe: Recipe, processes: Processes, pictures: Pictures, out: Path, *, seed: int, workers: int, say: Say
) -> Recipe:
    """The recipe with the pairs that its preparation makes, if it has one."""
    if recipe.prepare is None:
        return recipe
    if processes.count > 1:
        raise OptionError(f"The recipe '{recipe.name}' prepares its data in one process: start it without accelerate.")
    pairs, others = recipe.prepare(pictures, out, seed=seed, workers=workers, say=say)
    return replace(recipe, pairs=pairs, validation_pairs=others)


def _build(recipe: Recipe, store: WeightStore, out: Path, device: torch.device, *, resumed: bool) -> Run:
    """A run at step 0. One that a checkpoint will fill gets no weights to start from."""
    network = (recipe.build or MODELS[recipe.model].build)()
    if recipe.initialise:
        recipe.initialise(network)
    notes = {} if resumed else _start(network, recipe, store, out)
    if recipe.fixed:
        network.get_submodule(recipe.fixed).requires_grad_(False)
    network = _placed(network, device)
    rival = None
    if recipe.adversarial:
        critic = _placed(recipe.adversarial.critic(), device)
        highest = recipe.adversarial.learning_rate or recipe.learning_rate
        rival = Rival(critic, torch.optim.Adam(critic.parameters(), lr=highest, betas=recipe.adversarial.betas))
    return Run(network, checkpoint.start_average(network), _optimiser(recipe, network), rival, notes=notes)


def _start(network: nn.Module, recipe: Recipe, store: WeightStore, out: Path) -> dict[str, str]:
    """Gives a network its first weights; -> the run's first notes, which say where they are from."""
    start, card = "fresh weights", MODELS[recipe.model]
    notes: dict[str, str] = {}
    if recipe.warm_start:
        fitting = warm_tail(network, store.bundled_state(MODELS[recipe.warm_start]))
        if not fitting:
            raise OptionError(f"Nothing in the weights of {recipe.warm_start} fits the recipe '{recipe.name}'.")
        network.load_state_dict(fitting, strict=False)
        minutes = _minutes_of(store, recipe.warm_start)
        start = f"the bundled {recipe.warm_start} where it fits"
        start += f", trained for {minutes:g} minutes" if minutes else ""
        notes["warm_start"] = recipe.warm_start
        if recipe.warm_start == card.name:
            notes["minutes_before"] = f"{minutes:g}"
    if recipe.starts_from:  # the stage before: its run folder beside this one, or else the bundled weights
        path = out.parent / recipe.starts_from / f"{card.name}.safetensors"
        found = path.is_file()
        state = load_file(path) if found else store.bundled_state(card)
        load_strictly(
            network,
            {key: value.float() if value.is_floating_point() else value for key, value in state.items()},
            card.name,
        )
        start = f"the run {recipe.starts_from}" if found else f"the bundled {card.name}"
    if recipe.pretrained and recipe.pretrained(network):
        return {**notes, "start": f"{start}, pretrained encoder", PRETRAINED: "yes"}
    return {**notes, "start": start}


def _minutes_of(store: WeightStore, model: str) -> float:
    """How long bundled weights were trained in all, as far as their certificate tells."""
    certificate = store.certificate(MODELS[model]) or {}
    return sum(certificate.get(key) or 0 for key in ("minutes", "minutes_before"))


def _optimiser(recipe: Recipe, network: nn.Module) -> Any:
    kind = MuonAndAdam if recipe.optimiser == "muon" else torch.optim.Adam
    return kind(network.parameters(), lr=recipe.learning_rate, betas=recipe.betas)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _open(session: Session, *, resume_at: int | None) -> None:
    recipe, folder, device = session.recipe, session.folder, session.processes.device
    if session.processes.main:
        if folder.begin(resume_at=resume_at):
            session.display.say("the training that was here is now previous.pt; --resume would have gone on with it")
        folder.write_json("recipe.json", {**describe(recipe), "warm_start": _warm_start(session)})
        folder.write_json("environment.json", environment(device, session.processes.count))
    session.display.say(f"{recipe.name} on {device}, step {session.run.step}: {session.pictures.describe()}")


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return cpu_has_bf16()


def _engine(recipe: Recipe) -> Engine:
    if recipe.engine == "fastai":
        try:
            from restoration.training.learner import learn
        except ImportError as error:
            raise OptionError(f"The recipe '{recipe.name}' needs fastai, which is not installed.") from error
        return learn
    return _loop


def _loop(session: Session) -> None:
    run, recipe = session.run, session.recipe
    step = make_step(recipe, run, session.processes, bf16=session.bf16)
    feed = session.feed()
    run.network.train()
    while (progress := session.advance()) is not None:
        if recipe.settle:
            settle(run.network, progress < recipe.settle)
        now = _set_rates(run, recipe, progress)
        waiting = time.monotonic()
        batch = next(feed)
        waited = time.monotonic() - waiting
        session.took(step(run, *batch), now, waited)


def _set_rates(run: Run, recipe: Recipe, progress: float) -> float:
    """Sets both optimisers' learning rates; -> the restorer's."""
    now = rate(recipe, run.step, progress)
    _set_rate(run.optimiser, now)
    if run.rival and recipe.adversarial:
        _set_rate(
            run.rival.optimiser, now * (recipe.adversarial.learning_rate or recipe.learning_rate) / recipe.learning_rate
        )
    return now


def _set_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = value


def rate(recipe: Recipe, step: int, progress: float) -> float:
    """The learning rate: linear warm-up over steps, then cosine over the progress 0..1 down to `final_rate`."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    cosine = recipe.final_rate + (1 - recipe.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return recipe.learning_rate * warm * cosine


def _finish(session: Session) -> Path:
    run, recipe, folder = session.run, session.recipe, session.folder
    path = folder.path / f"{recipe.model}.safetensors"
    if session.stop.asked:
        session.display.say(f"stopped at step {run.step}: --resume goes on from here")
    if session.processes.main:
        session.keep()
        state = recipe.merge(run.network, run.average) if recipe.merge else run.average
        checkpoint.write_weights(state, path)
        folder.write_json("run.json", _facts(session))
    session.processes.leave()
    return path


def _warm_start(session: Session) -> str | None:
    """The card whose weights the training began with, which a resumed one no longer reads."""
    return session.run.notes.get("warm_start", session.recipe.warm_start)


def _facts(session: Session) -> dict[str, Any]:
    run, recipe, device = session.run, session.recipe, session.processes.device
    last = session.folder.rows()[-1]
    return {
        "recipe": recipe.name,
        "minutes": round(run.seconds / 60, 1),
        "minutes_before": float(run.notes.get("minutes_before", 0)),
        "learning_rate": recipe.learning_rate,
        "iterations": run.step,
        "batch": recipe.batch * session.processes.count,
        "seed": session.seed,
        "pictures": len(session.pictures.train),
        "warm_start": _warm_start(session),
        "start": run.notes.get("start"),
        "losses": describe_losses(recipe, run.notes),
        "hardware": _hardware(device),
        "processes": session.processes.count,
        "torch": torch.__version__,
        "precision": f"{'bf16 autocast' if session.bf16 else 'fp32'}, channels-last",
        "engine": recipe.engine,
        "validation_pictures": "training pictures" if session.pictures.shared else "held out",
        "validation": {key: last[key] for key in ("psnr", "ssim", "input_psnr", "input_ssim")},
    }


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"
