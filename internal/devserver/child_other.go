//go:build !linux

package devserver

import "syscall"

// ofChild returns no attributes: only the kernel of Linux ends a process together with its parent.
func ofChild() *syscall.SysProcAttr { return nil }
