package ledgertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Programs are those of PostgreSQL, for one cluster of databases in a folder. Where the caller is root, which the server refuses
// to be, they run as an unprivileged user.
type Programs struct {
	bin, folder string
	env         []string
	user        *syscall.Credential
}

// Find returns the directory of the newest PostgreSQL server, or ErrNotInstalled.
func Find() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(ErrNotInstalled, err)
	}
	return filepath.Dir(slices.Max(found)), nil
}

// NewPrograms returns the programs for a folder, which then belongs to their user. They see env besides the environment.
func NewPrograms(folder string, env ...string) (*Programs, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	p := &Programs{bin: bin, folder: folder, env: env}
	if os.Geteuid() != 0 {
		return p, nil
	}
	return p, p.becomeUnprivileged()
}

func (p *Programs) becomeUnprivileged() error {
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return err
	}
	p.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.folder, int(uid), int(gid))
}

// Data is the data folder of the server.
func (p *Programs) Data() string { return filepath.Join(p.folder, "data") }

// Init makes the data folder, with the user khronicle. The arguments are further ones of initdb.
func (p *Programs) Init(args ...string) error {
	return p.Run("initdb", append([]string{
		"--pgdata", p.Data(), "--username", "khronicle", "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-instructions",
	}, args...)...)
}

// Command returns the command of a program.
func (p *Programs) Command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.folder
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "HOME="+p.folder), p.env...)
	if p.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.user}
	}
	return cmd
}

// Run runs a program to its end. Its error has the output.
func (p *Programs) Run(program string, args ...string) error {
	cmd := p.Command(program, args...)
	// To a file: a server that the program starts would keep a pipe open.
	output, err := os.CreateTemp("", program)
	if err != nil {
		return err
	}
	defer os.Remove(output.Name())
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name()) // what it said only explains the error
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(said)))
	}
	return nil
}
