package lint

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// containers reports what is wrong with the containers of one list. Names has the list of each name seen so far.
func (o *object) containers(list string, spec corev1.PodSpec, containers []corev1.Container, names map[string]string, volumes map[string]bool) {
	for i, c := range containers {
		at := item(list, i)
		switch other := names[c.Name]; {
		case validation.IsDNS1123Label(c.Name) != nil:
			o.errorf(at+".name", "%q is not the name of a container: %s", c.Name, wantLabel)
		case other != "":
			o.errorf(at+".name", "%q is also the name of a container in %s", c.Name, other)
		}
		names[c.Name] = list
		o.image(at, c)
		oneOf(o, at+".terminationMessagePolicy", c.TerminationMessagePolicy, corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)
		o.env(at, c, list == podSpec+".containers")
		o.ports(at, c.Ports, spec.HostNetwork)
		o.mounts(at, c, volumes)
		o.resources(at+".resources", c.Resources)
	}
}

// image reports an image that cannot be pulled. It warns of an image that may differ from node to node: one whose tag moves
// and is not pulled again.
func (o *object) image(at string, c corev1.Container) {
	oneOf(o, at+".imagePullPolicy", c.ImagePullPolicy, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
	switch {
	case c.Image == "":
		o.errorf(at+".image", "missing; want an image") // of an init container; check.Workload reports the others
	case strings.TrimSpace(c.Image) != c.Image:
		o.errorf(at+".image", "%q begins or ends with a blank", c.Image)
	case c.ImagePullPolicy == corev1.PullIfNotPresent && moves(c.Image):
		o.warnf(at+".image", "%q has no fixed tag, and with IfNotPresent each node uses the image that it pulled first: write a tag or digest", c.Image)
	}
}

// moves is true for an image without a digest whose tag is missing or latest.
func moves(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	_, tag, tagged := strings.Cut(path.Base(image), ":")
	return !tagged || tag == "latest"
}

func (o *object) ports(at string, ports []corev1.ContainerPort, hostNetwork bool) {
	names, numbers := map[string]bool{}, map[string]bool{}
	for i, port := range ports {
		field := item(at+".ports", i)
		if number := fmt.Sprintf("%d/%s", port.ContainerPort, cmp.Or(port.Protocol, corev1.ProtocolTCP)); numbers[number] {
			o.warnf(field, "an earlier port is also %s", number)
		} else {
			numbers[number] = true
		}
		oneOf(o, field+".protocol", port.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		if validation.IsValidPortNum(int(port.ContainerPort)) != nil {
			o.errorf(field+".containerPort", "%d is not from 1 to 65535", port.ContainerPort)
		}
		if port.HostPort != 0 && validation.IsValidPortNum(int(port.HostPort)) != nil {
			o.errorf(field+".hostPort", "%d is not from 1 to 65535", port.HostPort)
		} else if hostNetwork && port.HostPort != 0 && port.HostPort != port.ContainerPort {
			o.errorf(field+".hostPort", "%d differs from containerPort %d; with hostNetwork both must be equal", port.HostPort, port.ContainerPort)
		}
		if port.Name == "" {
			continue
		}
		if validation.IsValidPortName(port.Name) != nil {
			o.errorf(field+".name", `%q is not the name of a port: want at most 15 lower case letters, digits and "-", with a letter`, port.Name)
		} else if names[port.Name] {
			o.errorf(field+".name", "%q is the name of an earlier port", port.Name)
		}
		names[port.Name] = true
	}
}

func (o *object) mounts(at string, c corev1.Container, volumes map[string]bool) {
	paths := map[string]bool{}
	for i, mount := range c.VolumeMounts {
		field := item(at+".volumeMounts", i)
		if paths[mount.MountPath] {
			o.errorf(field+".mountPath", "%q is also the path of an earlier mount", mount.MountPath)
		}
		paths[mount.MountPath] = true
		if !volumes[mount.Name] {
			o.errorf(field+".name", "%q is not one of %s.volumes", mount.Name, podSpec)
		}
		if mount.MountPath == "" {
			o.errorf(field+".mountPath", "is empty; want a path in the container")
		}
		if path.IsAbs(mount.SubPath) || slices.Contains(strings.Split(mount.SubPath, "/"), "..") {
			o.errorf(field+".subPath", `%q is not a path inside the volume, without ".."`, mount.SubPath)
		}
		if mount.SubPath != "" && mount.SubPathExpr != "" {
			o.errorf(field+".subPathExpr", "subPath is set too; set only one of the two")
		}
	}
	for i, device := range c.VolumeDevices {
		if !volumes[device.Name] {
			o.errorf(item(at+".volumeDevices", i)+".name", "%q is not one of %s.volumes", device.Name, podSpec)
		}
	}
}
