package ledger

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// boundSilence makes a TCP connection break when packets are not acknowledged for some time. Without it Linux tries for 15
// minutes.
func boundSilence(network, _ string, conn syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
