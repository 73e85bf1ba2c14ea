package devserver

import "syscall"

// ofChild returns the attributes of a process that ends with this one, and to which no Ctrl-C of the terminal goes.
func ofChild() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
