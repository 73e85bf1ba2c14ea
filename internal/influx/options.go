package influx

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
)

// Options say where the points are sent.
type Options struct {
	// URL is the address of InfluxDB, such as "http://influxdb:8086".
	URL string
	// Username and Password are sent by basic authentication. A Password alone is sent as an API token.
	Username, Password string
	// Database is the name of the database, or of the one that InfluxDB 2 and 3 map to a bucket.
	Database string
}

// target is the URL of the endpoint and the header Authorization.
type target struct{ url, authorization string }

// target reads the options. Its errors do not show the URL, which may hold a password.
func (o Options) target() (target, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return target{}, errors.New(`the URL cannot be read; it should be such as "http://influxdb:8086"`)
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, fmt.Errorf(`the scheme of the URL is %q; it should be such as "http://influxdb:8086"`, u.Scheme)
	case u.Hostname() == "":
		return target{}, errors.New(`the URL names no host; it should be such as "http://influxdb:8086"`)
	case o.Database == "":
		return target{}, errors.New("no database is named")
	}
	inURL, _ := u.User.Password()
	authorization := authorize(cmp.Or(o.Username, u.User.Username()), cmp.Or(o.Password, inURL))
	u.User, u.Fragment = nil, ""
	u = u.JoinPath("write")
	u.RawQuery = url.Values{"db": {o.Database}}.Encode()
	return target{url: u.String(), authorization: authorization}, nil
}

func authorize(username, password string) string {
	switch {
	case username != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
	case password != "":
		return "Token " + password
	}
	return ""
}
