"""Checks of sessions: cookies, keep-alive, parallel sessions, dialects side by side, logging out and in."""

import threading

from checks.suite import Failure, alive, answered, check, dead, equal, expect, refused
from remo_peer import session_cookie


@check()
def every_answer_sets_the_cookie_without_a_path(scene):
    with scene.login() as peer:
        answers = [peer.send("/info", keep=False), peer.cmd("true").response, peer.verb("idt").response]
        for response in answers:
            expect(session_cookie(response) == peer.cookies[0], "another cookie than that of /auth")
            line = next(one for one in response.all("Set-Cookie") if one.startswith("SESSION_ID="))
            expect("path=" not in line.lower(), "a cookie with a path: %s", line)


@check()
def strangers_get_cookies_of_their_own(scene):
    with scene.peer() as one, scene.peer() as other:
        first, second = session_cookie(one.send("/info")), session_cookie(other.send("/info"))
        expect(first and second and first != second, "the same cookie twice")
        expect(len(first) >= 16, "a cookie of %d characters", len(first))


@check()
def the_cookie_of_info_can_be_logged_in(scene):
    with scene.peer() as peer:
        peer.send("/info")
        peer.login()
        alive(peer)


@check()
def older_cookie_first_unknown(scene):
    with scene.login() as peer:
        answered(peer.cmd("echo x", cookies=["0" * 32, *peer.cookies]), 200, b"x\n")


@check(ours=True)
def older_cookie_first_not_logged_in(scene):
    with scene.peer() as old, scene.login() as peer:
        old.send("/info")
        answered(peer.cmd("echo x", cookies=[*old.cookies, *peer.cookies]), 200, b"x\n")


@check(ours=True)
def older_cookie_first_of_a_live_session(scene):
    with scene.login() as old, scene.login() as peer:
        answered(peer.cmd("echo x", cookies=[*old.cookies, *peer.cookies]), 200, b"x\n")
        alive(peer)
        alive(old)


@check(ours=True)
def cookies_among_others(scene):
    with scene.login() as peer:
        mine = peer.cookies[0]
        peer.cookies = ["1; theme=dark; SESSION_ID=" + mine + "; a=b"]
        answered(peer.cmd("echo x", keep=False), 200, b"x\n")


@check()
def two_sessions_at_once(scene):
    with scene.login() as one, scene.login() as other:
        expect(one.cookies != other.cookies, "one cookie for two sessions")
        for _ in range(3):
            alive(one)
            alive(other)


@check()
def eight_sessions_in_parallel(scene):
    wrongs = []

    def live(at):
        try:
            with scene.login() as peer:
                for turn in range(5):
                    text = "session %d turn %d" % (at, turn)
                    answered(peer.cmd("cat", text.encode()), 200, text.encode())
        except Exception as error:  # told below
            wrongs.append(error)

    threads = [threading.Thread(target=live, args=(at,)) for at in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if wrongs:
        raise Failure("%d of 8: %s" % (len(wrongs), wrongs[0]))


@check(second=True, ours=True)
def two_dialects_at_once_on_one_port(scene):
    other = "0.6" if scene.dialect == "0.3" else "0.3"
    with scene.login() as one, scene.login(other, scene.second) as two:
        for _ in range(3):
            answered(one.cmd("cat", b"one"), 200, b"one")
            answered(two.cmd("cat", b"two"), 200, b"two")
        answered(one.cmd("cat", pieces=[b"a", b"b"]), 200, b"ab")
        answered(two.cmd("cat", pieces=[b"c", b"d"]), 200, b"cd")


@check()
def many_requests_on_one_connection(scene):
    with scene.login() as peer:
        for at in range(60):
            answered(peer.cmd("echo %d" % at), 200, b"%d\n" % at)
        if not scene.through_proxy:
            equal(peer.connection.opened, 1, "connections")


@check()
def sixty_requests_on_sixty_connections(scene):
    with scene.login() as peer:
        for _ in range(60):
            peer.connection.close()
            alive(peer)


@check()
def sessions_share_a_connection(scene):
    with scene.login() as one, scene.login() as other:
        other.connection.close()
        other.connection = one.connection
        for _ in range(3):
            alive(one)
            alive(other)


@check()
def logout(scene):
    with scene.login() as peer:
        alive(peer)
        response = peer.logout()
        equal((response.status, response.body), (200, b"Disconnected"), "answer")
        dead(peer)


@check()
def logout_by_plain_get(scene):
    with scene.login() as peer:
        response = peer.send("/auth")
        equal((response.status, response.body), (200, b"Disconnected"), "answer")
        dead(peer)


@check()
def login_again_in_the_same_session(scene):
    with scene.login() as peer:
        alive(peer)
        old = peer.key
        peer.login()
        expect(peer.key is not old, "the same key")
        alive(peer)
        peer.logout()
        peer.login()
        alive(peer)


@check()
def login_by_other_framings(scene):
    methods = ("POST",) if scene.through_proxy else ("POST", "PUT", "GET")
    for method in methods:
        with scene.peer() as peer:
            alive(peer.login(method))
    with scene.peer() as peer:
        alive(peer.login(framing="chunked"))


@check(direct=True)
def the_answer_to_auth_is_plain_text_with_a_length(scene):
    with scene.login() as peer:
        response = peer.logout()
        expect(response.has_length, "no Content-Length")


@check(direct=True, ours=True)
def the_query_does_not_count_or_is_refused(scene):
    with scene.peer() as peer:
        expect(peer.send("/info?x=1").status in (200, 400, 404), "a query breaks /info")


@check()
def requests_of_one_session_take_turns(scene):
    """Two connections, one session: the second waits for the first, and both are answered."""
    with scene.login() as peer, scene.peer() as twin:
        twin.cookies, twin.key = list(peer.cookies), peer.key
        path = peer.path("cmd", "sh -c 'sleep 0.4; echo first'")
        tokens, framing = peer.tokens(path, b"", None)
        found = []
        thread = threading.Thread(target=lambda: found.append(attempt(peer, path, tokens, framing)))
        thread.start()
        thread.join(0.15)  # the order of the two matters in 0.6, and only there
        twin.number = peer.number
        answered(twin.cmd("echo second"), 200, b"second\n")
        thread.join()
        expect(not isinstance(found[0], Exception), "the first was not answered: %s", found[0])
        answered(found[0], 200, b"first\n")


def attempt(peer, path, tokens, framing):
    try:
        return peer.exchange_tokens(path, tokens, framing)
    except Exception as error:  # told by the thread that waits
        return error


@check(second=True)
def another_user_has_another_session(scene):
    with scene.login(who=scene.second) as other, scene.login() as peer:
        spy = scene.peer()
        spy.cookies, spy.key, spy.number = list(peer.cookies), other.key, 0
        with spy:
            refused(spy.cmd("echo x", raw=True), 400, 403)
