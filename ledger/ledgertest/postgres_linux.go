package ledgertest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Postgres is a server of its own, on a Unix socket in a directory of its own.
type Postgres struct {
	*Programs
	databases atomic.Int64
}

// NewPostgres starts a server.
func NewPostgres() (*Postgres, error) {
	dir, err := os.MkdirTemp("", "khpg") // short, because socket paths are
	if err != nil {
		return nil, err
	}
	programs, err := NewPrograms(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := programs.Init(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &Postgres{Programs: programs}
	if err := p.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

// Start starts the server, which NewPostgres has done already, and waits until it answers.
func (p *Postgres) Start() error {
	options := fmt.Sprintf("-c listen_addresses= -c unix_socket_directories=%s -c max_connections=200 -c shared_buffers=256MB"+
		" -c max_wal_size=512MB", p.folder)
	return p.Run("pg_ctl", "start", "--pgdata", p.Data(), "--wait", "--silent", "--log", filepath.Join(p.folder, "log"), "--options", options)
}

// Crash ends the server at once, as kill -9 would: what was not on the disk is lost.
func (p *Postgres) Crash() error {
	return p.Run("pg_ctl", "stop", "--pgdata", p.Data(), "--mode", "immediate", "--wait", "--silent")
}

// Pause stops all processes of the server: it holds its connections, and answers nobody. Continue ends that.
func (p *Postgres) Pause() error { return p.signal(syscall.SIGSTOP) }

// Continue lets a server go on that was paused.
func (p *Postgres) Continue() error { return p.signal(syscall.SIGCONT) }

func (p *Postgres) signal(signal syscall.Signal) error {
	content, err := os.ReadFile(filepath.Join(p.Data(), "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	if err := syscall.Kill(postmaster, signal); err != nil { // first: a postmaster that is stopped starts no process
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", postmaster))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Socket returns the Unix socket of the server.
func (p *Postgres) Socket() string { return filepath.Join(p.folder, ".s.PGSQL.5432") }

// Restart ends the server in order and starts it again, without its files in the memory of the machine.
func (p *Postgres) Restart() error {
	if err := p.Run("pg_ctl", "stop", "--pgdata", p.Data(), "--mode", "fast", "--wait", "--silent"); err != nil {
		return err
	}
	if err := Evict(p.Data()); err != nil {
		return err
	}
	return p.Start()
}

// Evict removes a file, or all files of a folder, from the memory of the machine, so that the next read comes from the disk.
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
	return errors.Join(p.Crash(), os.RemoveAll(p.folder))
}

// Database makes an empty database and returns its address.
func (p *Postgres) Database() (string, error) {
	name := fmt.Sprintf("ledger%d", p.databases.Add(1))
	if err := p.Run("createdb", "--host", p.folder, "--username", "khronicle", name); err != nil {
		return "", err
	}
	return "postgres:///" + name + "?" + url.Values{"host": {p.folder}, "user": {"khronicle"}}.Encode(), nil
}
