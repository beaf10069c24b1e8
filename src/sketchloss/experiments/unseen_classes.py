"""Classes of QuickDraw that the bundled weights have not seen: drawings of them favour none of the weights."""

#: None of any source was tuned on: `scripts/bundled_weights.sh` leaves them out.
UNSEEN = (
    *("ant", "banana", "butterfly", "car", "carrot", "crab", "guitar", "hedgehog", "helicopter", "hourglass"),
    *("hot dog", "kangaroo", "mermaid", "motorbike", "owl", "piano", "pineapple", "saxophone", "scissors", "scorpion"),
    *("sea turtle", "teapot", "umbrella", "violin", "windmill", "zebra", "anvil", "bathtub", "binoculars", "cactus"),
    *("camera", "dragon", "lighthouse", "octopus", "panda", "roller coaster", "sandwich", "skateboard", "skull"),
    *("snowman", "stethoscope", "submarine", "tractor", "washing machine", "watermelon", "whale"),
)
