"""The world around a Teams bot, offline: Microsoft's cloud, Teams, and the people in it.

`cloud.Cloud` plays the hosts that a bot in production talks to, so that a bot runs
against it with its production configuration, unpatched. `connector.Connector` is the
part of that cloud where messages go, `teams.Teams` what people see of it, and
`browser.Browser` a real browser that clicks there.
"""
