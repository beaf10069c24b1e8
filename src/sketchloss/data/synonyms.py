"""Class names that mean the same kind of thing, in the spellings of the data sets that are joined here.

A class that is left out of a training must be left out of every source. QuickDraw, TU-Berlin, Sketchy, PACS and the
Toronto scenes do not agree on names.
"""

from sketchloss.data.joined import plain_name

#: Each line is one kind. Where one name is wider than another (a bird, a seagull), all are on its line: who leaves one
#: out wants none of them to have been seen.
KINDS_BY_NAME = """
airplane, aeroplane, plane
ape, monkey, gorilla
beach, beaches
bicycle, bike
bird, songbird, seagull, wading bird, flying bird, standing bird, pigeon
birthday cake, cake
blimp, airship, zeppelin
car, car (sedan), sedan, automobile, police car, race car
cat, kitten
cell phone, mobile phone, smartphone
chicken, hen, rooster, cock
city, cities
coffee cup, cup, mug, teacup, tea cup
computer, desktop computer, computer monitor
couch, sofa
cow, bull, cattle
crab, hermit crab
crocodile, crocodilian, alligator
dog, puppy
donut, doughnut
drums, drum
eyeglasses, glasses, spectacles
face, smiley face
fan, ceiling fan
firetruck, fire truck, fire engine
flashlight, torch
flip flops, sandal, sandals
flower, flower with stem
house plant, potted plant
flying saucer, ufo
forest, forests
guitar, electric guitar
hamburger, burger
highway, highways
hot dog, hotdog
house, cabin, barn
jack o lantern, pumpkin
keyboard, computer keyboard
lamp, floor lamp
light bulb, lightbulb
mailbox, letter box
moustache, mustache
motorbike, motorcycle
mountain, mountains
office, offices
pants, trousers
person, human, people, man, woman, walking person, standing person
piano, grand piano
pickup truck, truck, van
pistol, gun, revolver, handgun
power outlet, socket
present, gift, gift box
purse, handbag
rabbit, bunny, hare
racket, tennis racquet, tennis racket, racquet
ray, stingray, manta ray
rhinoceros, rhino
rifle, shotgun
rocket, space shuttle, spaceship
rollerskates, roller skates, rollerskate
sailboat, sailing boat, sailing ship
sea turtle, turtle, tortoise
seal, sea lion
see saw, seesaw
sheep, lamb
shoe, sneaker, running shoe
speedboat, motorboat
starfish, sea star
streetlight, street lamp, street light
string bean, green bean
sweater, pullover
t shirt, tshirt
teddy bear, teddy
telephone, phone
television, tv, tv set
the eiffel tower, eiffel tower
the great wall of china, great wall of china
the mona lisa, mona lisa
tree, palm tree
wine bottle, bottle
wine glass, wineglass
wristwatch, watch
"""

_OF_NAME = {
    name: frozenset(names)
    for names in ([plain_name(name) for name in line.split(",")] for line in KINDS_BY_NAME.strip().splitlines())
    for name in names
}


def same_kind(name: str) -> frozenset[str]:
    """Return all plain names of a class: its own, as `plain_name` gives it, and its synonyms."""
    plain = plain_name(name)
    return _OF_NAME.get(plain, frozenset({plain}))
