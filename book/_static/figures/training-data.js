"use strict";
/* The recorded runs, written by scripts/draw_interactive.py. */
gmmtf.training.recorded = {
 "patterns": 8,
 "active": 4,
 "dim": 256,
 "radius": 16.0,
 "sigma": 0.3,
 "rate": 1.0,
 "tokens": 512,
 "steps": [
  20,
  40
 ],
 "cases": [
  {
   "rarest": 0.01,
   "all": [
    [
     0.03106,
     0.000184
    ],
    [
     0.023433,
     0.000173
    ]
   ],
   "own": [
    0.320759,
    0.00547
   ],
   "products": {
    "rareSame": [
     0.491513,
     0.011097
    ],
    "commonSame": [
     4.697761,
     0.071085
    ]
   }
  },
  {
   "rarest": 0.02,
   "all": [
    [
     0.032073,
     0.00024
    ],
    [
     0.023988,
     0.000204
    ]
   ],
   "own": [
    0.235466,
    0.003738
   ],
   "products": {
    "rareSame": [
     0.972262,
     0.019849
    ],
    "commonSame": [
     4.699646,
     0.073734
    ]
   }
  },
  {
   "rarest": 0.05,
   "all": [
    [
     0.032926,
     0.00033
    ],
    [
     0.024136,
     0.000339
    ]
   ],
   "own": [
    0.105713,
    0.002112
   ],
   "products": {
    "rareSame": [
     1.993858,
     0.025909
    ],
    "commonSame": [
     4.701399,
     0.061494
    ]
   }
  },
  {
   "rarest": 0.125,
   "all": [
    [
     0.031939,
     0.00079
    ],
    [
     0.023508,
     0.000606
    ]
   ],
   "own": [
    0.048637,
    0.00085
   ],
   "products": {
    "rareSame": [
     3.051535,
     0.025214
    ],
    "commonSame": [
     4.743405,
     0.069557
    ]
   }
  },
  {
   "rarest": 0.5,
   "all": [
    [
     0.032106,
     0.000287
    ],
    [
     0.024289,
     0.000227
    ]
   ],
   "own": [
    0.025132,
    0.002954
   ],
   "products": {}
  }
 ]
};
