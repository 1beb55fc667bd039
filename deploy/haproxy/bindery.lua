-- Asks bindery whether a request may go on, and says so in the variable txn.bindery: `allow`, or nothing. A request that
-- may not is answered from here, with what bindery says. For HAProxy 2.6 and later.
--
--   http-request lua.bindery application/grafana     (or `routes`: bindery's routes say which target it is)
--   http-request deny deny_status 503 unless { var(txn.bindery) -m str allow }

local address = "unix@/run/bindery/http.sock"
local milliseconds = 500

-- What bindery says about who asks. Add those of `set_headers` in bindery's settings.
local identity = {
    "x-authentik-username", "x-authentik-groups", "x-authentik-email", "x-authentik-name", "x-authentik-uid",
}
-- What goes back to the client with a denial.
local answer = {
    "content-type", "cache-control", "location", "www-authenticate", "x-bindery-decision-id", "x-bindery-reason",
}

local function first(headers, name)
    return headers and headers[name] and headers[name][0]
end

core.register_action("bindery", { "http-req" }, function(txn, target)
    local asked = {}
    -- Everything that the client sent, but for what speaks of this very connection.
    for name, values in pairs(txn.http:req_get_headers()) do
        local list = {}
        for index = 0, #values do
            list[#list + 1] = values[index]
        end
        asked[name] = list
    end
    for _, name in ipairs({ "connection", "content-length", "transfer-encoding", "expect", "te", "upgrade", "keep-alive" }) do
        asked[name] = nil
    end
    asked["x-forwarded-method"] = { txn.f:method() }
    asked["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
    asked["x-forwarded-host"] = { first(txn.http:req_get_headers(), "host") or "" }
    asked["x-forwarded-uri"] = { txn.f:pathq() }
    asked["x-forwarded-for"] = { txn.f:src() }

    local url = "http://bindery/forward-auth/haproxy"
    if target ~= "routes" then
        url = url .. "/" .. target
    end
    local got = core.httpclient():get({ url = url, headers = asked, dst = address, timeout = milliseconds })
    if not got or not got.status or got.status == 0 or got.status >= 500 then
        -- The backstop refuses it.
        return
    end
    txn:set_var("txn.bindery_decision_id", first(got.headers, "x-bindery-decision-id") or "")
    txn:set_var("txn.bindery_reason", first(got.headers, "x-bindery-reason") or "")
    if got.status == 200 then
        for _, name in ipairs(identity) do
            local value = first(got.headers, name)
            if value then
                txn.http:req_set_header(name, value)
            else
                txn.http:req_del_header(name)
            end
        end
        txn:set_var("txn.bindery", "allow")
        return
    end
    local reply = txn:reply({ status = got.status, body = got.body })
    for _, name in ipairs(answer) do
        local value = first(got.headers, name)
        if value then
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end, 1)
