"""The words the seed is made of."""

from __future__ import annotations

CATEGORIES = ("pothole", "illegal-parking", "street-light", "accident", "road-hazard", "traffic-sign")
STATUSES = ("open", "in-progress", "resolved")

FIRST_NAMES = (
    "Amara", "Bruno", "Chloe", "Dario", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Leon", "Mila",
    "Nadia", "Oskar", "Priya", "Quentin", "Rosa", "Samir", "Tessa", "Umar", "Vera", "Wanda", "Xavier", "Yara",
)  # fmt: skip
LAST_NAMES = (
    "Abara", "Bergmann", "Castell", "Demir", "Eklund", "Ferreira", "Gupta", "Haddad", "Ivanova", "Jansen", "Kowalski",
    "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quiroga", "Rossi", "Sato", "Tanaka", "Ulrich", "Varga",
    "Weber", "Yilmaz", "Zeman",
)  # fmt: skip
DISTRICTS = ("Harbour", "Old Town", "Northgate", "Riverside", "Mill Hill", "Station Quarter", "Parkside", "Eastfield")
STREETS = (
    "Lime Street", "Foundry Lane", "Harbour Road", "Kingsway", "Orchard Avenue", "Canal Walk", "Market Square",
    "Bridge Street", "Chapel Lane", "Meadow Drive", "Station Road", "Poplar Crescent", "Tannery Row", "Quay Street",
    "Hilltop Road", "Mariner's Way",
)  # fmt: skip
BIOS = (
    "Cycles everywhere, notices everything.", "School run twice a day.", "Drives the number 12 bus.",
    "Walks a very opinionated dog.", "Works nights, knows every broken lamp.", "Neighbourhood watch since 2019.",
    "Delivers parcels by cargo bike.", "Pushes a pram over every kerb.", "Runs before sunrise.",
    "Takes photos first, asks later.",
)  # fmt: skip

TITLES = {
    "pothole": (
        "Deep pothole on {street}",
        "Pothole by the crossing on {street}",
        "Road surface breaking up on {street}",
        "Cyclists swerve around this hole on {street}",
    ),
    "illegal-parking": (
        "Car parked across the pavement on {street}",
        "Van blocks the bus stop on {street}",
        "Parked on the cycle lane, {street}",
        "Double parking outside the school on {street}",
    ),
    "street-light": (
        "Street light out on {street}",
        "Lamp flickers all night on {street}",
        "Three lamps dark in a row on {street}",
        "Light on all day on {street}",
    ),
    "accident": (
        "Two cars collided on {street}",
        "Bollard knocked over on {street}",
        "Minor crash at the corner of {street}",
        "Car left the road on {street}",
    ),
    "road-hazard": (
        "Oil spill on {street}",
        "Fallen branch on {street}",
        "Loose manhole cover on {street}",
        "Broken glass on the cycle lane, {street}",
    ),
    "traffic-sign": (
        "Stop sign turned around on {street}",
        "Sign hidden behind leaves on {street}",
        "Speed limit sign missing on {street}",
        "Bent sign post on {street}",
    ),
}
DETAILS = {
    "pothole": (
        "It is about as deep as my hand and grows with every rain.",
        "I heard two cars bottom out within ten minutes.",
        "The last patch lasted three weeks.",
    ),
    "illegal-parking": (
        "Wheelchairs and prams have to go into the road.",
        "It has been there since yesterday evening.",
        "The same place every weekday between eight and nine.",
    ),
    "street-light": (
        "The crossing is pitch dark after six.",
        "It hums, flickers, and goes out again.",
        "The number on the pole is scratched but starts with 41.",
    ),
    "accident": (
        "Nobody seems hurt, but there is debris on the right lane.",
        "Police have been called and are on the way.",
        "Traffic squeezes past one at a time.",
    ),
    "road-hazard": (
        "Please go slowly, it is hard to see before you are on it.",
        "I moved what I could to the side, the rest is too heavy.",
        "A cone stands there now, for what it is worth.",
    ),
    "traffic-sign": (
        "Drivers from out of town miss it completely.",
        "The bolts are loose, one push turns it.",
        "It has been like that since the storm.",
    ),
}
REMARKS = (
    "Thank you for reporting it.",
    "Morning traffic backs up to the bridge because of this.",
    "Same thing last month, they fixed it within a week.",
    "Somebody nearly fell here yesterday.",
    "I have added a photo from the other side.",
    "Best avoided until it is dealt with.",
)
COMMENTS = (
    "Saw it too, thanks for posting.",
    "Still there this morning.",
    "Reported it by phone as well.",
    "My bike found it before I did.",
    "The crew was there at noon, looks better now.",
    "Can confirm, drove past just now.",
    "That corner needs a proper solution.",
    "Thanks! I will take the other street.",
    "It got worse over the weekend.",
    "Finally somebody says it.",
    "Is it the side near the bakery?",
    "Great photo, exactly that spot.",
    "Council answered me: scheduled for next week.",
    "Kids cross there every day.",
    "Careful in the dark.",
)

CONVERSATIONS = (
    "Harbour watch",
    "Lime Street neighbours",
    "School run",
    "Night lamps",
    "Cyclists of Northgate",
    "Road crew",
    "Market Square",
    "Parkside parents",
    "Bridge repairs",
    "Weekend patrol",
    "Bus line 12",
    "New here",
)
MESSAGES = (
    "Has anyone been past the bridge today?",
    "Yes, one lane only until noon.",
    "The lamp is finally fixed!",
    "Great news.",
    "Can someone take a better photo of it?",
    "On my way home, I will have a look.",
    "Added it to the report.",
    "There is glass on the cycle lane again.",
    "I swept some of it up.",
    "Thanks, you are a star.",
    "Traffic is calm right now.",
    "The crew just arrived.",
    "They say two hours.",
    "Let us keep the report open until they are done.",
    "Agreed.",
    "Who wrote to the council?",
    "I did, no answer so far.",
    "Try the form, they answer that one.",
    "Will do tonight.",
    "See you on Saturday at the crossing?",
    "Count me in.",
    "I bring the cones.",
    "And I bring coffee.",
)
