//go:build !linux

package ledgertest

import "errors"

var errNotLinux = errors.New("tests start PostgreSQL on Linux only")

// Postgres is a server of its own. Only Linux has one.
type Postgres struct{}

// NewPostgres returns ErrNotInstalled: the server is looked for where Debian installs it.
func NewPostgres() (*Postgres, error) { return nil, ErrNotInstalled }

// Start returns an error.
func (*Postgres) Start() error { return errNotLinux }

// Crash returns an error.
func (*Postgres) Crash() error { return errNotLinux }

// Pause returns an error.
func (*Postgres) Pause() error { return errNotLinux }

// Continue returns an error.
func (*Postgres) Continue() error { return errNotLinux }

// Data returns an empty path.
func (*Postgres) Data() string { return "" }

// Run returns an error.
func (*Postgres) Run(string, ...string) error { return errNotLinux }

// Socket returns an empty path.
func (*Postgres) Socket() string { return "" }

// Restart returns an error.
func (*Postgres) Restart() error { return errNotLinux }

// Evict returns an error.
func Evict(string) error { return errNotLinux }

// Close does nothing: no server was started.
func (*Postgres) Close() error { return nil }

// Database returns an error.
func (*Postgres) Database() (string, error) { return "", errNotLinux }
