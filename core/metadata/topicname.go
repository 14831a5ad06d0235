package metadata

// maxTopicName keeps "<topic>-<partition>" below the 255 bytes of a file name.
const maxTopicName = 249

// ValidTopicName reports whether a topic may have this name.
func ValidTopicName(name string) bool { return TopicNameFault(name) == "" }

// TopicNameFault says what is wrong with a topic's name; "" if nothing.
func TopicNameFault(name string) string {
	switch {
	case name == "":
		return "the topic name is empty"
	case name == "." || name == "..":
		return "the topic name cannot be \".\" or \"..\""
	case len(name) > maxTopicName:
		return "the topic name is longer than 249 characters"
	}
	for i := range len(name) {
		if !isTopicChar(name[i]) {
			return "the topic name holds a character other than ASCII letters, digits, '.', '_' and '-'"
		}
	}
	return ""
}

func isTopicChar(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == '_' || b == '-'
}
