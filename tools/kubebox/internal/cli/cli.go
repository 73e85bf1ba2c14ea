//go:build linux

// Package cli is the command line of kubebox: it parses, calls package host, and prints.
package cli

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/host"
)

// app holds the flags that all commands share.
type app struct {
	name, state string
	// kubectl runs the built-in kubectl with os.Args and ends the process.
	kubectl func()
}

// New returns the command line. kubectl runs the built-in kubectl with os.Args.
func New(kubectl func()) *cobra.Command {
	a := &app{kubectl: kubectl}
	root := &cobra.Command{
		Use:              "kubebox",
		Short:            "A real one-node Kubernetes for development and tests",
		SilenceUsage:     true,
		SilenceErrors:    true,
		TraverseChildren: true, // kubebox --name x kubectl …: what comes after kubectl is kubectl's
		Args:             cobra.NoArgs,
		RunE:             func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&a.name, "name", fromEnv("KUBEBOX_NAME", cluster.DefaultName), "name of the cluster ($KUBEBOX_NAME)")
	root.PersistentFlags().StringVar(&a.state, "state", fromEnv("KUBEBOX_STATE", cluster.DefaultState), "state directory ($KUBEBOX_STATE)")
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(a.upCommand(), a.downCommand(), a.statusCommand(), a.kubeconfigCommand(), a.kubectlCommand(),
		a.execCommand(), a.loadImageCommand(), a.exposeCommand(), a.killCommand(), a.startCommand())
	return root
}

func fromEnv(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

func (a *app) cluster() (cluster.Cluster, error) { return cluster.New(a.name, a.state) }

func (a *app) upCommand() *cobra.Command {
	want := host.UpOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or find it running; prints the path of its kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("port") && (want.Port < 1 || want.Port > 65535) {
				return fmt.Errorf("port %d: want 1 to 65535", want.Port)
			}
			if err := host.Up(cmd.Context(), c, want, cmd.ErrOrStderr()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), c.Kubeconfig())
			return nil
		},
	}
	cmd.Flags().IntVar(&want.Port, "port", 0, fmt.Sprintf("port of 127.0.0.1 for the API server (default: that of the last start, or %d)", cluster.DefaultPort))
	cmd.Flags().BoolVar(&want.Audit, "audit", false, "write the API server's audit log, level Metadata")
	cmd.Flags().DurationVar(&want.Timeout, "timeout", 3*time.Minute, "how long to wait for readiness")
	return cmd
}

func (a *app) downCommand() *cobra.Command {
	var wipe bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			return host.Down(c, wipe, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&wipe, "wipe", false, "also remove all that the cluster has stored")
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the components; exit code 0 only if all are up",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			s, err := host.ReadStatus(cmd.Context(), c)
			if err != nil {
				return err
			}
			write := s.WriteText
			if asJSON {
				write = s.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if !s.AllUp() {
				return fmt.Errorf("cluster %s is not completely up", c.Name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the administrator's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := a.kubeconfig()
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return err
		},
	}
}

func (a *app) kubeconfig() (string, error) {
	c, err := a.cluster()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(c.Kubeconfig()); err != nil {
		return "", fmt.Errorf("cluster %s in %s has never been started; run `kubebox up`", c.Name, c.State)
	}
	return c.Kubeconfig(), nil
}

func (a *app) kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl …",
		Short:              "Run kubectl as the cluster's administrator, unless --kubeconfig is given",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := a.kubeconfig()
			if err != nil {
				return err
			}
			if err := os.Setenv("KUBECONFIG", path); err != nil {
				return fmt.Errorf("set KUBECONFIG: %w", err)
			}
			os.Args = append([]string{"kubectl"}, args...)
			a.kubectl()
			return nil
		},
	}
}

func (a *app) execCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "exec -- COMMAND…",
		Short: "Run a command in the node's network, mount and UTS namespaces",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			return host.Exec(c, args)
		},
	}
}

func (a *app) exposeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "expose PORT…",
		Short: "Let pods reach 127.0.0.1:PORT of this machine as http://host.kubebox:PORT, until down",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			ports := make([]int, len(args))
			for i, arg := range args {
				if ports[i], err = strconv.Atoi(arg); err != nil {
					return fmt.Errorf("port %q: %w", arg, err)
				}
			}
			return host.Call(cmd.Context(), c, c.HostSocket(), "/expose", control.ExposeRequest{Ports: ports}, &control.HostStatus{})
		},
	}
}

func (a *app) killCommand() *cobra.Command {
	var r control.KillRequest
	cmd := &cobra.Command{
		Use:   "kill COMPONENT",
		Short: "Send a signal to a component (etcd, kube-apiserver, kubelet, …)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			r.Component = args[0]
			return host.Call(cmd.Context(), c, c.NodeSocket(), "/kill", r, &control.None{})
		},
	}
	cmd.Flags().StringVar(&r.Signal, "signal", "KILL", "KILL, TERM, STOP or CONT")
	cmd.Flags().BoolVar(&r.Hold, "hold", false, "do not restart the component until `kubebox start COMPONENT`")
	return cmd
}

func (a *app) startCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "start COMPONENT",
		Short: "Start a component that is held or stopped",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			return host.Call(cmd.Context(), c, c.NodeSocket(), "/start", control.StartRequest{Component: args[0]}, &control.None{})
		},
	}
}

func (a *app) loadImageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "load-image REF TAR | load-image REF BINARY[:/PATH] [FILE[:/PATH]…]",
		Short: "Put an image into the node: an archive (OCI layout or docker save), or a static binary packed into a scratch image",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.cluster()
			if err != nil {
				return err
			}
			return host.LoadImage(cmd.Context(), c, args[0], args[1:])
		},
	}
}
