// Package ledgertest starts a real PostgreSQL server for tests of what uses the ledger. It is no part of the product.
package ledgertest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ErrNotInstalled is the error of a machine without a PostgreSQL server.
var ErrNotInstalled = errors.New("no PostgreSQL server under /usr/lib/postgresql (Debian package postgresql)")

// Postgres is a server of its own, on a Unix socket in a directory of its own.
type Postgres struct {
	bin, dir  string
	account   *syscall.Credential
	databases atomic.Int64
}

// NewPostgres starts a server, as an unprivileged user where the caller is root, which the server refuses to be.
func NewPostgres() (*Postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(ErrNotInstalled, err)
	}
	dir, err := os.MkdirTemp("", "khpg") // short, because socket paths are
	if err != nil {
		return nil, err
	}
	p := &Postgres{bin: filepath.Dir(slices.Max(found)), dir: dir}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Postgres) prepare() error {
	if os.Geteuid() == 0 {
		if err := p.becomeUnprivileged(); err != nil {
			return err
		}
	}
	return p.run("initdb", "--pgdata", p.data(), "--username", "khronicle", "--auth", "trust", "--encoding", "UTF8",
		"--no-locale", "--no-instructions")
}

func (p *Postgres) becomeUnprivileged() error {
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	p.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(p.dir, int(uid), int(gid))
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Start starts the server, which NewPostgres has done already, and waits until it answers.
func (p *Postgres) Start() error {
	options := fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c max_connections=200 -c shared_buffers=256MB"+
		" -c max_wal_size=512MB", p.dir)
	return p.run("pg_ctl", "start", "--pgdata", p.data(), "--wait", "--silent", "--log", filepath.Join(p.dir, "log"), "--options", options)
}

// Crash ends the server without any order, as kill -9 would: what was not on the disk is lost.
func (p *Postgres) Crash() error {
	return p.run("pg_ctl", "stop", "--pgdata", p.data(), "--mode", "immediate", "--wait", "--silent")
}

// Restart ends the server in order and starts it again, with nothing of its files in the machine's memory.
func (p *Postgres) Restart() error {
	if err := p.run("pg_ctl", "stop", "--pgdata", p.data(), "--mode", "fast", "--wait", "--silent"); err != nil {
		return err
	}
	if err := Evict(p.data()); err != nil {
		return err
	}
	return p.Start()
}

// Evict takes a file, or all files of a folder, out of the machine's memory as far as they are on the disk, so that what is
// read next is read from there.
func Evict(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return errors.Join(file.Sync(), unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// Close ends the server and removes its data.
func (p *Postgres) Close() error {
	return errors.Join(p.Crash(), os.RemoveAll(p.dir))
}

// Database makes an empty database and returns its address.
func (p *Postgres) Database() (string, error) {
	name := fmt.Sprintf("ledger%d", p.databases.Add(1))
	if err := p.run("createdb", "--host", p.dir, "--username", "khronicle", name); err != nil {
		return "", err
	}
	return "postgres:///" + name + "?" + url.Values{"host": {p.dir}, "user": {"khronicle"}}.Encode(), nil
}

func (p *Postgres) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+p.dir)
	if p.account != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	}
	// To a file: the server would keep a pipe open.
	output, err := os.CreateTemp(p.dir, program)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name()) // what it said only explains the error
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// Need returns the server, or skips the test where none can be had.
func Need(t testing.TB, p *Postgres, err error) *Postgres {
	t.Helper()
	if errors.Is(err, ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}
