"""The web page: compare drawings, search by sketching, turn photos into sketches, look at a gallery.

    sketchloss app
    sketchloss app --galleries my-drawings/ --styles runs/ --study demo

`command` starts it; `page` puts the tabs together, one module each: `compare`, `search`, `photos`, `explore`.
Drawings of galleries are told by `results` and `naming`, shown large by `viewer` and `originals`, and laid out by
`overview`. `services` holds what all visitors share, `uploads` reads their files, `private` keeps and deletes them, and
`canvas` is what they draw on.
"""
