package verb

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// browse starts the browser of the desktop. It does not wait for its end.
func browse(ctx context.Context, address string) error {
	program, err := browserOf(runtime.GOOS, os.Getenv)
	if err != nil {
		return err
	}
	// The browser outlives the command.
	command := exec.CommandContext(context.WithoutCancel(ctx), program[0], append(program[1:], address)...)
	if err := command.Start(); err != nil {
		return err
	}
	go func() { _ = command.Wait() }() // it leaves no zombie
	return nil
}

// browserOf returns the command that opens an address on a system.
func browserOf(system string, variable func(string) string) ([]string, error) {
	switch {
	case system == "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}, nil
	case system == "darwin":
		return []string{"open"}, nil
	case variable("DISPLAY") == "" && variable("WAYLAND_DISPLAY") == "":
		return nil, errors.New("there is no display")
	}
	return []string{"xdg-open"}, nil
}
