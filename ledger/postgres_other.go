//go:build !linux

package ledger

import "syscall"

// boundSilence does nothing: the bound of a connection's silence is an option of Linux.
func boundSilence(string, string, syscall.RawConn) error { return nil }
