// The tls package as a plugin: keys, requests and certificates made on the spot; it takes no configuration.
import { framework } from "../protocol/framework.ts";
import { serve } from "../protocol/main.ts";
import { types } from "./resources.ts";

serve({ name: "tls", style: framework, config: {}, types, functions: [], open: () => ({}) });
