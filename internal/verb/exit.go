package verb

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit codes of the commands.
const (
	// ExitFailed says that a check failed, or is not in the state that was waited for.
	ExitFailed = 1
	// ExitUsage says that the command line is wrong.
	ExitUsage = 2
	// ExitUnknown says that the command could not tell: something cannot be read or written, or there was no outcome in time.
	ExitUnknown = 3
)

// Error is an error with an exit code.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error without its exit code.
func (e *Error) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error {
	return &Error{ExitUsage, fmt.Errorf(format, args...)}
}

func failedf(format string, args ...any) error {
	return &Error{ExitFailed, fmt.Errorf(format, args...)}
}

// WithCode gives an exit code to the errors of a command that have none.
func WithCode(code int, command *cobra.Command) *cobra.Command {
	run := command.RunE
	if run == nil {
		return command
	}
	command.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if coded := (*Error)(nil); err == nil || errors.As(err, &coded) {
			return err
		}
		return &Error{code, err}
	}
	return command
}

// Exit writes the error of a command line, and returns the exit code. An error without a code is one of the command line itself.
func Exit(stderr io.Writer, program string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %s\n", program, printable(err.Error()))
	if coded := (*Error)(nil); errors.As(err, &coded) {
		return coded.Code
	}
	return ExitUsage
}
