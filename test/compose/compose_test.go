// Package compose_test reads docker-compose.yml, the Dockerfile and .dockerignore with the code that Docker itself reads
// them with. It is a module of its own, so that this code stays out of Khronicle's.
package compose_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// roles are the services that run a sub-command of khronicle of the same name.
var roles = []string{"worker", "starter", "reportapi"}

const reportingURL = "KH_EXTERNAL_REPORTING_URL"

// load reads the file as `docker compose` does: interpolated, valid by the schema, every reference resolved.
func load(t *testing.T, env types.Mapping) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: env,
	})
}

func project(t *testing.T) *types.Project {
	t.Helper()
	t.Setenv("HOME", "/home/someone")
	p, err := load(t, types.Mapping{reportingURL: "http://192.0.2.10:8080/externalCheckStatus"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReportingURLIsRequired(t *testing.T) {
	_, err := load(t, types.Mapping{})
	if err == nil || !strings.Contains(err.Error(), reportingURL) || !strings.Contains(err.Error(), "externalCheckStatus") {
		t.Errorf("got error %v, want one that names %s and shows an example", err, reportingURL)
	}
}

func TestServices(t *testing.T) {
	want := append([]string{"postgres", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui"}, roles...)
	slices.Sort(want)
	if got := project(t).ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A service that waits for another's health or success waits for ever if that one can have neither.
func TestDependenciesCanBeMet(t *testing.T) {
	p := project(t)
	for _, s := range p.Services {
		oneShot := strings.HasPrefix(s.Restart, types.RestartPolicyOnFailure)
		if !oneShot && s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s: restart policy is %q", s.Name, s.Restart)
		}
		for name, dependency := range s.DependsOn {
			needed, ok := p.Services[name]
			switch {
			case !ok:
				t.Errorf("%s depends on %s, which does not exist", s.Name, name)
			case dependency.Condition == types.ServiceConditionHealthy && needed.HealthCheck == nil:
				t.Errorf("%s waits for the health of %s, which has no health check", s.Name, name)
			case dependency.Condition == types.ServiceConditionCompletedSuccessfully &&
				!strings.HasPrefix(needed.Restart, types.RestartPolicyOnFailure):
				t.Errorf("%s waits for the end of %s, which is started again", s.Name, name)
			case dependency.Condition == types.ServiceConditionStarted:
				t.Errorf("%s does not wait until %s can be used", s.Name, name)
			}
		}
	}
}

func TestMountedFilesExist(t *testing.T) {
	p := project(t)
	for _, s := range p.Services {
		for _, volume := range s.Volumes {
			switch {
			case volume.Type == types.VolumeTypeVolume:
				if _, ok := p.Volumes[volume.Source]; !ok {
					t.Errorf("%s: volume %s is not declared", s.Name, volume.Source)
				}
			case !volume.ReadOnly:
				t.Errorf("%s: %s is mounted for writing", s.Name, volume.Source)
			case volume.Target == "/kubeconfig":
				if volume.Source != "/home/someone/.kube/config" {
					t.Errorf("%s: the default kubeconfig is %s", s.Name, volume.Source)
				}
			default:
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
			}
		}
		for _, name := range filesNamed(s) {
			if _, err := os.Stat(filepath.Join(root, "deploy/temporal", name)); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
}

var mounted = regexp.MustCompile(`^/khronicle/(.+)$`)

// filesNamed are those of deploy/temporal that the service's command and variables name.
func filesNamed(s types.ServiceConfig) []string {
	words := slices.Clone([]string(s.Command))
	for _, value := range s.Environment {
		words = append(words, *value)
	}
	var names []string
	for _, word := range words {
		if found := mounted.FindStringSubmatch(word); found != nil {
			names = append(names, found[1])
		}
	}
	return names
}

func TestNothingIsOpenToTheNetwork(t *testing.T) {
	taken := map[string]string{}
	for _, s := range project(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is bound to %q", s.Name, port.Published, port.HostIP)
			}
			if other, ok := taken[port.Published]; ok {
				t.Errorf("%s and %s: both want port %s", s.Name, other, port.Published)
			}
			taken[port.Published] = s.Name
		}
	}
}

func TestImagesArePinned(t *testing.T) {
	p := project(t)
	version := func(service string) string {
		_, tag, _ := strings.Cut(p.Services[service].Image, ":")
		return tag
	}
	for _, s := range p.Services {
		if tag := version(s.Name); tag == "" || tag == "latest" {
			t.Errorf("%s: image %s is not pinned", s.Name, s.Image)
		}
	}
	for _, job := range []string{"temporal-schema", "temporal-namespace"} {
		if version(job) != version("temporal") {
			t.Errorf("%s is of version %s, the server of %s", job, version(job), version("temporal"))
		}
	}
}

func TestRolesAreConfiguredByWhatTheyRead(t *testing.T) {
	known := variablesRead(t)
	for _, name := range roles {
		s := project(t).Services[name]
		if !slices.Equal(s.Command, []string{name}) {
			t.Errorf("%s: command is %q", name, s.Command)
		}
		for variable := range s.Environment { // those of PostgreSQL, PG…, are pgx's
			if !slices.Contains(known, variable) && !strings.HasPrefix(variable, "TEMPORAL_") && !strings.HasPrefix(variable, "PG") {
				t.Errorf("%s: khronicle does not read %s", name, variable)
			}
		}
		if s.User == "" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s: user %q, read-only %t, drops %q", name, s.User, s.ReadOnly, s.CapDrop)
		}
	}
}

// The ledger is a database that the job before makes in the PostgreSQL of this file, by a user that is there.
func TestTheWorkersLedgerIsThere(t *testing.T) {
	p := project(t)
	variable := func(service, name string) string {
		if value := p.Services[service].Environment[name]; value != nil {
			return *value
		}
		return ""
	}
	for _, service := range []string{"worker", "reportapi"} {
		if got, want := variable(service, "KHRONICLE_LEDGER"), "postgres://postgres:5432/"+variable("temporal-schema", "LEDGER_DBNAME"); got != want {
			t.Errorf("the ledger of the %s is %q, want %q", service, got, want)
		}
	}
	for name, of := range map[string]string{"PGUSER": "POSTGRES_USER", "PGPASSWORD": "POSTGRES_PASSWORD"} {
		if got, want := variable("worker", name), variable("postgres", of); got != want || got == "" {
			t.Errorf("the worker's %s is %q, that of PostgreSQL %q", name, got, want)
		}
	}
	script, err := os.ReadFile(filepath.Join(root, "deploy/temporal/schema.sh"))
	if err != nil || !strings.Contains(string(script), `--database "${LEDGER_DBNAME:-khronicle}" create-database`) {
		t.Errorf("schema.sh does not make the database of the ledger: %v", err)
	}
}

// flagRow matches a row of the table of flags, with the variable that sets the same.
var flagRow = regexp.MustCompile("(?m)^\\| [^|]*`--[^|]+\\|[^|]*\\| `([A-Z_]+)` \\|")

// variablesRead returns the variables of khronicle's flags, from the table that its tests compare with the commands.
// KUBECONFIG is client-go's.
func variablesRead(t *testing.T) []string {
	t.Helper()
	document, err := os.ReadFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"KUBECONFIG"}
	for _, found := range flagRow.FindAllSubmatch(document, -1) {
		names = append(names, string(found[1]))
	}
	return names
}
