-- SPDX-License-Identifier: Apache-2.0
--
-- Has wrk send sixteen requests in one write on each connection:
--
--   wrk --threads 1 --connections 64 --duration 4s --latency --script Benchmarks/wrk/pipeline.lua http://127.0.0.1:9000/

local together = {}

init = function(arguments)
    for index = 1, 16 do
        together[index] = wrk.format("GET", "/")
    end
    together = table.concat(together)
end

request = function()
    return together
end
