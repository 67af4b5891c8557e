package console

// pages are all that can be looked at, by path.
var pages map[string]page

func init() { // not a value: pages tell of pages
	pages = map[string]page{
		"/console/{$}":           {template: "overview", title: "Overview", here: "/console/", ask: (*Console).overview},
		"/console/state":         {template: "overview", title: "Overview", here: "/console/", ask: (*Console).overview},
		"/console/hot":           {template: "hot", title: "Hot items", ask: (*Console).hot},
		"/console/item":          {template: "item", title: "Item", here: "/console/hot", ask: (*Console).item},
		"/console/frozen":        {template: "frozen", title: "Frozen items", ask: (*Console).frozen},
		"/console/repairs":       {template: "repairs", title: "Repairs", ask: (*Console).repairs},
		"/console/letters":       {template: "letters", title: "Dead letters", ask: (*Console).letters},
		"/console/letter":        {template: "letter", title: "Dead letter", here: "/console/letters", ask: (*Console).letter},
		"/console/sagas":         {template: "sagas", title: "Sagas", ask: (*Console).sagas},
		"/console/saga":          {template: "saga", title: "Saga", here: "/console/sagas", ask: (*Console).saga},
		"/console/revocations":   {template: "revocations", title: "Revocations", ask: (*Console).revocations},
		"/console/revocation":    {template: "revocation", title: "Revocation", here: "/console/revocations", ask: (*Console).revocation},
		"/console/notifications": {template: "notifications", title: "Notifications", ask: (*Console).notifications},
		"/console/notification":  {template: "notification", title: "Notification", here: "/console/notifications", ask: (*Console).notification},
		"/console/settings":      {template: "settings", title: "Settings", ask: (*Console).settings},
		"/console/doctor":        {template: "doctor", title: "Doctor", ask: (*Console).doctor},
		"/console/findings":      {template: "doctor", title: "Doctor", here: "/console/doctor", ask: (*Console).findings, time: examTime},
	}
}
