"""What travels between a client and the bus: frames `[op, request, …]` up, `[answer, request, …]` and pushes down.

    attach   header                     -> ok {epoch, state, head, settled, late, many}
    emit     header  signal…            -> ok [seq…]          one atomic batch; header may carry put
    settle   header  signal…            -> ok {}              acknowledge, put off, give back or reject
    ask      header  signal             -> ok {seq, id} and later a push `answer`
    query    header                     -> ok {…}
    live     signal…                    (no answer)
    beat                                (no answer) the session is alive
    detach                              -> ok {}
    many     list    signal…            -> oks                several emits, settles, asks and queries at once

Pushes carry an empty request: `deliver header envelope`, `answer header envelope`, `live envelope`,
`fenced header`, `cancel header` (a signal in hand has timed out).
A refusal is `no request {code, message, …}`. Headers are JSON objects.

The list of `many` has `[op, number, header, signals]` for each request, and says how many of the signals that follow
are its own. Each is judged by itself: `oks`, with a list of `[number, body]`, answers all that were taken, a `no` each
that was not. The bus says in its answer to `attach` whether it knows `many`. Who says the same there gets what is
delivered together in one `deliver`, with the list of their headers as its header.
"""

PROTOCOL = 1
MAX_FRAME_BYTES = 1 << 20
"""A longer frame costs its sender the connection, before anybody has read it."""

ATTACH = b"attach"
EMIT = b"emit"
SETTLE = b"settle"
ASK = b"ask"
QUERY = b"query"
LIVE = b"live"
BEAT = b"beat"
DETACH = b"detach"
MANY = b"many"
TOGETHER = frozenset({EMIT, SETTLE, ASK, QUERY})
"""What can come among many."""

OK = b"ok"
OKS = b"oks"
NO = b"no"
DELIVER = b"deliver"
ANSWER = b"answer"
FENCED = b"fenced"
CANCEL = b"cancel"

BEACON = b"_beacon"
"""Topic of the mirror's beacon; no signal has such a name."""
WOKEN = b"_woken"
"""Topic of an empty message after each commit with signals, for who reads the journal."""

ACK = "ack"
NAK = "nak"
REJECT = "reject"
UNAVAILABLE = "unavailable"
RETURN = "return"
"""What a settle says of the signal: done, failed, never to be tried again, not now, given back untried."""
