//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	khv1 "github.com/khronicle/khronicle/api/v1"
)

// The examples, and the namespace that their manifests name.
const (
	examples          = "../../examples/"
	examplesNamespace = "khronicle-examples"
)

// TestLanguagesReportApiDown: checks without our library try again until the report API is back.
func TestLanguagesReportApiDown(t *testing.T) {
	restart(t, "reportapi")
	namespace := languages(t)
	under.kill("reportapi")
	applyExample(t, namespace, "shell", "shell", nil)
	applyExample(t, namespace, "python", "python", env{"LIMIT_MS": "never"})
	for _, name := range []string{"shell", "python"} {
		pod := awaitPod(t, namespace, name, corev1.PodRunning)
		eventually(t, 20*time.Second, name+" was not heard", func() (bool, string) {
			log := logOf(t, pod)
			return strings.Contains(log, "answer to the report:"), log
		})
	}
	if err := under.start("reportapi"); err != nil {
		t.Fatal(err)
	}
	outcomeOf(t, namespace, "shell")
	outcomeOf(t, namespace, "python", `ValueError: LIMIT_MS is "never", want a whole number from 1 to 60000`)
}

// TestLanguages runs the checks without our library as their manifests say, and with settings that make them fail.
func TestLanguages(t *testing.T) {
	t.Parallel()
	namespace := languages(t)
	url := "http://http-target." + namespace + ".svc.cluster.local/"
	const odd = "\"grün\" \\ 日本\n\tand a 'second' line 🙂"
	for _, tt := range []struct {
		name, example string
		settings      env
		errors        []string
	}{
		{name: "shell-passes", example: "shell"},
		{name: "python-passes", example: "python", settings: env{"LIMIT_MS": "10000"}},
		{
			name: "shell-fails", example: "shell", settings: env{"TARGET_STRING": odd},
			errors: []string{url + ": the answer lacks \"" + odd + "\"; it begins: ok"},
		},
		{
			name: "python-fails", example: "python", settings: env{"REQUESTS": odd},
			errors: []string{"ValueError: REQUESTS is \"" + odd + "\", want a whole number from 1 to 1000"},
		},
		{
			name: "shell-finds-nobody", example: "shell", settings: env{"CHECK_URL": "http://http-target:81/", "TIMEOUT_SECONDS": "2"},
			errors: []string{"http://http-target:81/: (…"},
		},
		{
			name: "python-finds-nobody", example: "python", settings: env{"CHECK_URL": "http://http-target.nowhere/"},
			errors: []string{"http://http-target.nowhere/: <urlopen error [Errno …"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			applyExample(t, namespace, tt.example, tt.name, tt.settings)
			outcomeOf(t, namespace, tt.name, tt.errors...)
		})
	}
}

// outcomeOf waits for the outcome of a check's first run: it has these errors, or passed.
func outcomeOf(t *testing.T, namespace, name string, errors ...string) {
	t.Helper()
	state := awaitState(t, namespace, name, 40*time.Second, "any outcome", anyState)
	if state.OK != (errors == nil) || !sameTexts(errors, state.Errors, namespace, name) {
		t.Errorf("%s: OK is %t, errors (-want +got):\n%s", name, state.OK, cmp.Diff(errors, state.Errors))
	}
	for _, pod := range podsOf(t, namespace, name) {
		if log := logOf(t, pod); strings.Contains(log, pod.Labels["kuberhealthy-run-id"]) || !strings.Contains(log, `"OK"`) {
			t.Errorf("%s: the log has the run UUID, or lacks the report:\n%s", name, log)
		}
	}
}

func logOf(t *testing.T, pod corev1.Pod) string {
	t.Helper()
	log, err := under.kube.core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		return err.Error() // a container that has not started has no log
	}
	return string(log)
}

// languages makes a namespace like the examples' own, with their target, and the images of the checks.
func languages(t *testing.T) (namespace string) {
	t.Helper()
	if err := loadLanguages(); err != nil {
		t.Fatal(err)
	}
	namespace = newNamespace(t)
	restricted := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	_, err := under.kube.core.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, restricted, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "target.yaml")
	if err := os.WriteFile(target, example(t, "target.yaml", namespace), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := under.kubebox("kubectl", "apply", "-f", target); err != nil {
		t.Fatal(err)
	}
	if _, err := under.kubebox("kubectl", "-n", namespace, "wait", "--for=condition=Available", "--timeout=90s", "deployment/http-target"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the target answers at its Service", func() (bool, string) {
		out, err := under.kubebox("exec", "--", "curl", "-sf", "--max-time", "2", "http://http-target."+namespace+".svc.cluster.local/")
		return err == nil, fmt.Sprint(out, err)
	})
	return namespace
}

// example returns a manifest, moved into another namespace.
func example(t *testing.T, file, namespace string) []byte {
	t.Helper()
	text, err := os.ReadFile(examples + file)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.ReplaceAll(string(text), examplesNamespace, namespace))
}

// applyExample applies an example's check under a name of its own and with other settings. It runs once in an hour.
func applyExample(t *testing.T, namespace, folder, name string, settings env) {
	t.Helper()
	var c khv1.KuberhealthyCheck
	if err := yaml.UnmarshalStrict(example(t, folder+"/khcheck.yaml", namespace), &c); err != nil {
		t.Fatal(err)
	}
	c.Name, c.Spec.RunInterval, c.Spec.Timeout = name, "1h", "60s"
	container := &c.Spec.PodSpec.Containers[0]
	for i, variable := range container.Env {
		if value, changed := settings[variable.Name]; changed {
			container.Env[i].Value = value
		}
	}
	apply(t, &c)
}

// loadLanguages makes the images of the checks that do not use our library. It follows the Dockerfiles, but uses this
// machine's interpreters instead of images from a registry.
var loadLanguages = sync.OnceValue(func() error {
	var group errgroup.Group
	for folder, files := range map[string]func() ([]string, error){"shell": shellFiles, "python": pythonFiles} {
		group.Go(func() error {
			found, err := files()
			if err != nil {
				return err
			}
			return loadLanguage(folder, found)
		})
	}
	return group.Wait()
})

// shellFiles are a POSIX shell and the programs that the script calls.
func shellFiles() ([]string, error) {
	var files []string
	for _, program := range []string{"sh", "curl", "awk", "date", "sleep"} {
		path, err := exec.LookPath(program)
		if err != nil {
			return nil, err
		}
		files = append(files, path+":/usr/bin/"+program)
	}
	return files, nil
}

// pythonFiles are an interpreter and its standard library, without what no program needs.
func pythonFiles() ([]string, error) {
	const question = "import os, sys, sysconfig; print(os.path.realpath(sys.executable), sysconfig.get_path('stdlib'))"
	out, err := exec.Command("env", "PATH=/usr/bin:"+os.Getenv("PATH"), "python3", "-c", question).Output()
	if err != nil {
		return nil, fmt.Errorf("ask python3 for its files: %w", err)
	}
	var program, library string
	if _, err := fmt.Sscan(string(out), &program, &library); err != nil {
		return nil, fmt.Errorf("files of python3 in %q: %w", out, err)
	}
	files := []string{program + ":/usr/bin/python3", library + ":" + library}
	for _, part := range []string{"config-*", "test", "site-packages", "dist-packages"} {
		found, err := filepath.Glob(filepath.Join(library, part))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			files = append(files, "-"+path)
		}
	}
	return files, nil
}

var recipe = regexp.MustCompile(`(?s)docker build -t (\S+) .*\nCOPY (\S+) (\S+)\n.*\nENTRYPOINT (\[.*\])\n`)

// loadLanguage packs an image with an example's script, named and started as its Dockerfile says, and loads it.
func loadLanguage(folder string, files []string) error {
	text, err := os.ReadFile(examples + folder + "/Dockerfile")
	if err != nil {
		return err
	}
	found := recipe.FindStringSubmatch(string(text))
	if found == nil {
		return fmt.Errorf("the Dockerfile of %s is not as this test reads it", folder)
	}
	archive := filepath.Join(under.state, folder+".tar")
	args := append([]string{archive, found[4], examples + folder + "/" + found[2] + ":" + found[3]}, files...)
	if out, err := exec.Command("../../tools/hostimage.sh", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("pack the image of %s: %w: %s", folder, err, out)
	}
	_, err = under.kubebox("load-image", found[1], archive)
	return err
}
