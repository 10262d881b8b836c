from .service import Kit, program
def test_it(kit: Kit):
    sid = kit.hand_in("ada", program(fail=["subtract_works"]))
    kit.grade()
    s = kit.submission(sid)
    assert s.score == 70, s.state
    sid = kit.hand_in("bob", program(seconds=0.1))
    with kit.working():
        import time
        for _ in range(50):
            if kit.submission(sid).state.final: break
            time.sleep(0.05)
    assert kit.submission(sid).score == 100
