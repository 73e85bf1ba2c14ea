package config

// Look looks at the file once.
func (l *Live) Look() { l.look() }
