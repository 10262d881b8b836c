"""Where student code runs, and nothing else does. Theory of operation:

    grader (trusted: checks, references' answers, scores)
      |  SOCK_SEQPACKET: "spawn" + three pipe ends ->  <- pidfd, exit status
      launcher -> zygote, one a runtime (zygote.py): the runner's interpreter in a root of read-only binds, in its own
                  user, pid, mount, net, ipc and uts namespaces, exec'd with an empty environment; one thread
        |  unshare(NEWPID), fork, setns back
        child (serving.py, driver.py): locks itself down (jail.py, landlock.py, seccomp.py), warms up, parks,
               serves one submission over two plain pipes (wire.py), is killed

Trusted is what forms verdicts: this package's `pool`, `child`, `wire` (decoding) and everything above. The zygote is
trusted to fork. A child is trusted with nothing from the moment it has read a student's program: it holds no
expected value, no tolerance, no other student's text, and what it sends is data that is judged, never a verdict.

`pool.Sandbox` is the entrance; `posture` reads from outside what the kernel says about a child.
"""
