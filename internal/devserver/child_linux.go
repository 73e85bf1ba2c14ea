package devserver

import "syscall"

// ofChild returns the attributes of a process that ends together with this one and receives no Ctrl-C of the terminal.
func ofChild() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
