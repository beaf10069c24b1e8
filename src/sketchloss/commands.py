"""Every command of the command line: its name, what it does in a few words, and where it is found."""

from typing import NamedTuple


class Command(NamedTuple):
    """Place where a command is found. Its module is imported only when the command is chosen."""

    name: str
    """The command's name: one word, or two such as `style train`."""
    summary: str
    module: str
    """Module of the function, relative to the package: it begins with a dot."""
    function: str
    """Name of the function. It takes one config dataclass; an int that it returns is the exit code. A dictionary
    `PRESETS` in its module, from a name to the defaults that it changes, becomes the flag `--preset`."""
    extra: str = ""
    """The extra with the libraries that the command needs beyond the core."""
    settings: str = ""
    """Module of the config dataclass and of `PRESETS`, if it loads much less than `module`: help and errors come before
    the rest is loaded."""
    config: str = ""
    """Name of the config dataclass in `settings`."""
    shared: bool = False
    """Whether the processes of `accelerate launch` share its work, as `run_shared` says."""


COMMANDS = (
    Command(
        "demo",
        "show in a few minutes what the package does, on one page",
        ".experiments.demo.demo",
        "command",
        "eval,diffusion",
        ".experiments.demo.settings",
        "Demo",
    ),
    Command(
        "compare",
        "measure how different two drawings look, or the drawings of two folders",
        ".compare.command",
        "compare",
        shared=True,
    ),
    Command(
        "sets",
        "measure how far the drawings of two folders are apart as sets: FD and KD",
        ".compare.sets",
        "sets",
        settings=".compare.sets_settings",
        config="Sets",
    ),
    Command(
        "finetune",
        "train a network on sketches, so that its features become the loss",
        ".experiments.tuning.finetune",
        "finetune",
        "train",
        ".experiments.tuning.settings",
        "Finetune",
    ),
    Command(
        "distil",
        "train a thinner, faster network that imitates a given one",
        ".experiments.tuning.distil",
        "distil",
        "train",
        ".experiments.tuning.distil_settings",
        "Distil",
    ),
    Command(
        "neighbours",
        "measure how well network weights tell classes of drawings apart",
        ".experiments.tuning.neighbours",
        "neighbours",
        "train",
    ),
    Command(
        "retrieval",
        "train networks that find similar sketches, and measure them",
        ".experiments.retrieval.heads",
        "retrieval",
        "eval",
        ".experiments.retrieval.settings",
        "Retrieval",
    ),
    Command(
        "separation",
        "measure how far apart networks keep classes of sketches",
        ".experiments.separation.distances",
        "class_separation",
        "eval",
        ".experiments.separation.settings",
        "ClassSeparation",
    ),
    Command(
        "probe",
        "test whether distances between drawings behave as they should",
        ".experiments.probe.asking",
        "probe",
        "eval",
        ".experiments.probe.settings",
        "Probe",
    ),
    Command(
        "tricks",
        "test which changes fool distances, such as erasing everything",
        ".experiments.probe.tricks",
        "tricks",
        "eval",
        ".experiments.probe.tricks_settings",
        "Tricks",
    ),
    Command(
        "study",
        "run all experiments, and write every table and figure into one report",
        ".experiments.study",
        "command",
        "eval,diffusion",
        ".experiments.study.settings",
        "Study",
    ),
    Command(
        "style train",
        "train a network that turns photos into sketches",
        ".experiments.style.transfer",
        "style_transfer",
        "train",
        ".experiments.style.transfer_settings",
        "StyleTransfer",
    ),
    Command(
        "style table",
        "train photo-to-sketch networks with several losses, and measure what they draw",
        ".experiments.style.drawings",
        "style_table",
        "eval",
        ".experiments.style.settings",
        "StyleTable",
    ),
    Command("style apply", "turn pictures into sketches", ".stylize.commands", "apply", "onnx"),
    Command("style export", "write a photo-to-sketch network as an ONNX file", ".stylize.commands", "export", "onnx"),
    Command(
        "lora train",
        "teach a text-to-image model to sketch",
        ".experiments.prompts.training",
        "latent_diffusion",
        "diffusion",
        ".experiments.prompts.training_settings",
        "LatentDiffusion",
    ),
    Command(
        "lora sample",
        "draw pictures of prompts with a text-to-image model",
        ".lora.commands",
        "sample",
        "diffusion",
        ".lora.options",
        "LoraSample",
    ),
    Command(
        "lora merge",
        "add a LoRA to the weights of its model",
        ".lora.commands",
        "merge",
        "diffusion",
        ".lora.options",
        "LoraMerge",
    ),
    Command(
        "lora table",
        "train LoRAs with several losses, and measure what they draw",
        ".experiments.prompts.drawings",
        "lora_table",
        "eval,diffusion",
        ".experiments.prompts.settings",
        "LoraTable",
    ),
    Command(
        "lora base",
        "train a small text-to-image model from scratch",
        ".experiments.prompts.tiny_base",
        "tiny_diffusion",
        "diffusion",
        ".experiments.prompts.tiny_base_settings",
        "TinyDiffusion",
    ),
    *(
        Command(
            *(name, summary, f".gallery.{module}", function, "gallery", ".gallery.options", config),
            shared=name in ("gallery build", "gallery add"),
        )
        for name, summary, module, function, config in (
            ("gallery build", "make a gallery of drawings, which can be searched", "commands", "build", "Build"),
            ("gallery add", "bring a gallery up to date with folders of drawings", "commands", "add", "Add"),
            ("gallery remove", "remove drawings from a gallery", "commands", "remove", "Remove"),
            (
                "gallery search",
                "find the drawings of a gallery that look most like a given one",
                "search_command",
                "search",
                "Search",
            ),
            (
                "gallery clusters",
                "group the drawings of a gallery that look alike",
                "clusters.command",
                "clusters",
                "Clusters",
            ),
            ("gallery info", "show what is in a gallery", "commands", "info", "Show"),
        )
    ),
    Command(
        "gallery duplicates",
        "find copies among the drawings of a gallery",
        ".gallery.duplicates.command",
        "duplicates",
        "gallery",
        ".gallery.duplicates.options",
        "FindDuplicates",
    ),
    Command(
        "strokes",
        "redraw a picture of a drawing as strokes, and write them as SVG",
        ".strokes.command",
        "strokes",
        "strokes",
        ".strokes.settings",
        "Strokes",
    ),
    Command(
        "app",
        "open a page in the browser: compare, search, turn photos into sketches",
        ".app.command",
        "app",
        "app",
        ".app.settings",
        "App",
    ),
    Command("doctor", "check this installation, and what is missing in it", ".doctor", "doctor"),
)
