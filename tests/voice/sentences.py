"""What is said in the measurements: the commands of a person, free speech, and utterances that are no command."""

from __future__ import annotations

COMMANDS = """\
turn (on|off) the [kitchen] light
what time is it
stop [talking]
set a timer for (five|ten|twenty) minutes
(start|stop) the music
read [me] the news
how much (memory|space) is left
(lock|open) the front door
make a backup now
what is the weather like
good (morning|night)
call my (mother|father|brother)
"""

SAID_COMMANDS = (
    "turn on the light", "turn off the light", "turn on the kitchen light", "turn off the kitchen light",
    "what time is it", "stop talking", "set a timer for five minutes", "set a timer for ten minutes",
    "set a timer for twenty minutes", "start the music", "stop the music", "read the news", "read me the news",
    "how much memory is left", "how much space is left", "lock the front door", "open the front door",
    "make a backup now", "what is the weather like", "good morning", "good night", "call my mother", "call my father",
    "call my brother",
)  # fmt: skip

FREE = (
    "what did you find out today", "tell me what happened last night", "which service is using the most memory",
    "please remind me to call my mother tomorrow", "is the backup finished", "how much space is left on the disk",
    "the weather is nice this morning", "when did the machine start", "show me the list of open questions",
    "who changed the configuration yesterday", "how long will this take", "i would like to hear the news",
    "what is the name of that song", "why did the server stop working", "write a letter to my brother",
    "the train leaves at half past nine", "there is no milk in the house", "can you explain that again",
    "what do you think about this idea", "the children are playing in the garden",
)  # fmt: skip

_WHO = ("the doctor", "my sister", "the man next door", "our teacher", "the company", "a friend of mine", "the city")
_DID = (
    "said that the meeting was moved", "went home before the rain", "never answered the last letter",
    "found the book on the table", "bought a new car in the spring", "is waiting at the station",
    "wants to know how it ended", "had the music turned off", "left the light on in the kitchen",
    "called about the front door", "did not like the weather", "made dinner for ten people",
    "opened a small shop", "read about it in the paper", "set the alarm for five",
)  # fmt: skip
OTHERS = tuple(f"{who} {did}" for did in _DID for who in _WHO)[:100]
