// Package kubeapi asks the API server the few questions that starting a cluster needs.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
)

// Client talks to one API server as the administrator.
type Client struct {
	base string
	http *http.Client
}

// New returns a client for the API server of c at an address host:port.
func New(c cluster.Cluster, address string) (*Client, error) {
	pair, err := tls.LoadX509KeyPair(c.PKI("admin.crt"), c.PKI("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("load administrator certificate: %w", err)
	}
	pem, err := os.ReadFile(c.PKI("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("load CA certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &Client{
		base: "https://" + address,
		http: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
		},
	}, nil
}

// Ready returns nil if the API server says that it is ready.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/readyz", nil, http.StatusOK)
	return err
}

// NodeReady returns an error unless the node is Ready by a heartbeat not older than since. The last state of a stopped node
// stays in the API until the new kubelet has reported.
func (c *Client) NodeReady(ctx context.Context, name string, since time.Time) error {
	b, err := c.do(ctx, http.MethodGet, "/api/v1/nodes/"+name, nil, http.StatusOK)
	if err != nil {
		return err
	}
	return nodeReady(b, since)
}

func nodeReady(body []byte, since time.Time) error {
	var node struct {
		Status struct {
			Conditions []struct {
				Type, Status, Message string
				LastHeartbeatTime     time.Time
			}
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return fmt.Errorf("decode node: %w", err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type != "Ready" {
			continue
		}
		switch {
		case c.Status != "True":
			return fmt.Errorf("node is not ready: %s", c.Message)
		case c.LastHeartbeatTime.Before(since.Truncate(time.Second)): // heartbeats are in whole seconds
			return errors.New("the kubelet has not reported since it was started")
		}
		return nil
	}
	return errors.New("node has no Ready condition")
}

// Exists returns nil if a GET of path succeeds.
func (c *Client) Exists(ctx context.Context, path string) error {
	_, err := c.do(ctx, http.MethodGet, path, nil, http.StatusOK)
	return err
}

// Ensure posts an object to the path of its collection, unless there is one of that name. It looks first: a second
// Service with the same cluster IP is refused as invalid, not as existing.
func (c *Client) Ensure(ctx context.Context, path, name string, object any) error {
	if c.Exists(ctx, path+"/"+name) == nil {
		return nil
	}
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode object for %s: %w", path, err)
	}
	_, err = c.do(ctx, http.MethodPost, path, body, http.StatusCreated, http.StatusConflict)
	return err
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, want ...int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request %s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	for _, code := range want {
		if resp.StatusCode == code {
			return text, nil
		}
	}
	return nil, fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, text)
}

// Until calls f until it succeeds or ctx ends. Its error is then the cause of the end and the last error of f.
func Until(ctx context.Context, every time.Duration, f func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			if last == nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}
