package verb

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/khronicle/khronicle/external/apiclient"
)

const openLong = `Open the page of all checks, of a check, or of a run in a browser.

With --server it is the page at that address, and the command ends. Otherwise the command serves the pages on 127.0.0.1 until you
interrupt it, and reads them through the API server with your rights. Programs on this machine can read them meanwhile, others cannot.`

// opener opens a page.
type opener struct {
	*connection
	run   string
	print bool
	port  uint16
	// browse starts a browser.
	browse func(ctx context.Context, address string) error
}

func openCommand() *cobra.Command {
	o := &opener{connection: newConnection(), browse: browse}
	command := &cobra.Command{
		Use: "open [CHECK]", Short: "Open the page of a check in a browser", Long: openLong, Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.names,
		Example: `  khronicle open
  khronicle open shop/checkout
  khronicle open shop/checkout --run schedule-1795996800000000 --print`,
		RunE: func(cmd *cobra.Command, args []string) error {
			page, err := o.page(cmd, args)
			if err != nil {
				return err
			}
			if o.server != "" {
				address, err := url.Parse(strings.TrimSuffix(o.server, "/") + page)
				if err == nil {
					o.show(cmd, address.String())
				}
				return err
			}
			return o.serve(cmd, page)
		},
	}
	o.addAPIFlags(command.Flags())
	f := command.Flags()
	f.StringVar(&o.run, "run", "", "open the page of this run: its run UUID, or its ID as history lists it")
	f.BoolVar(&o.print, "print", false, "write the address, and start no browser")
	f.Uint16Var(&o.port, "port", 0, "port on 127.0.0.1 (default: a free one)")
	return command
}

// page returns the path of the page. It asks the API for what is shown there, so that a page that cannot be read is an error here.
func (o *opener) page(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case cmd.Flags().Changed("run") && o.run == "":
		return "", usagef("--run: is empty")
	case o.run != "" && len(args) == 0:
		return "", usagef("--run: needs the check of the run")
	case o.server != "" && cmd.Flags().Changed("port"):
		return "", usagef("--port: the pages of --server have their own address")
	}
	var name ref
	var err error
	if len(args) > 0 {
		if name, err = o.ref(args[0]); err != nil {
			return "", err
		}
	}
	client, err := o.api()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	switch {
	case len(args) == 0:
		_, err := apiclient.Decode[apiclient.Summary](client.GetSummary(ctx, nil))
		return "/", err
	case o.run == "":
		found, err := apiclient.Decode[apiclient.Check](client.GetCheck(ctx, name.namespace, name.name, nil))
		return pathOf(name, found.Kind), err
	}
	found, err := apiclient.Decode[apiclient.Run](client.GetRun(ctx, name.namespace, name.name, o.run, nil))
	return pathOf(name, found.Kind, "runs", found.ID), err
}

// pathOf returns the path of a page of a check or job.
func pathOf(name ref, kind apiclient.Kind, below ...string) string {
	path := url.URL{Path: "/checks"}
	path = *path.JoinPath(append([]string{url.PathEscape(name.namespace), url.PathEscape(name.name)}, below...)...)
	if kind == apiclient.KindJob {
		path.RawQuery = "kind=job"
	}
	return path.String()
}

// show writes the address of a page, and starts a browser unless there is none.
func (o *opener) show(cmd *cobra.Command, address string) {
	fmt.Fprintln(cmd.OutOrStdout(), address)
	if o.print {
		return
	}
	if err := o.browse(cmd.Context(), address); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "no browser was started:", firstOf(err.Error()))
	}
}

// serve serves the pages on 127.0.0.1 until the user interrupts.
func (o *opener) serve(cmd *cobra.Command, page string) error {
	config, err := o.rest()
	if err != nil {
		return err
	}
	client, target, err := serviceProxy(config, o.serviceNamespace, service, servicePort)
	if err != nil {
		return err
	}
	to, err := url.Parse(target)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp4", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		return fmt.Errorf("--port: %w", err)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "serving the pages on this machine until you press Ctrl-C")
	o.show(cmd, "http://"+listener.Addr().String()+page)
	return servePages(cmd.Context(), listener, to, client.Transport)
}
